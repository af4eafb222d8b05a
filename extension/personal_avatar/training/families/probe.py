"""Which of two possible answers a network gives, the noise or the velocity: the one that its answer is nearer to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.training.data.reading import read
from personal_avatar.training.families.detect import EPSILON, UNKNOWN, VELOCITY
from personal_avatar.training.families.model import DiffusionModel

if TYPE_CHECKING:
    import torch

TIMESTEPS = (400, 600, 800)
SEED = 20
SIDE_PX = 64


def probe(model: DiffusionModel, believed: str = UNKNOWN) -> str:
    """By how much of the noise and of the picture is in the answer, for a smooth picture with much noise on it.

    Deterministic: the noise is made on the CPU. Where noise prevails, noise has unit variance and velocity the smaller
    one of the picture, so that even a network that cannot make out the picture tells the two apart. `believed`: what an
    answer is taken for that has hardly anything of either, as that of a network which has learned little.
    """
    import torch

    clean = model.encode_images(_picture()[None])[0].repeat(len(TIMESTEPS), 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator("cpu").manual_seed(SEED))
    alphas = model.alphas_cumprod().float()[list(TIMESTEPS)].reshape(-1, 1, 1, 1)
    times, device = torch.tensor(TIMESTEPS), model.compute.device
    with torch.no_grad():
        noisy = alphas.sqrt() * clean + (1 - alphas).sqrt() * noise
        text = read(model, [""]).of([""] * len(TIMESTEPS))
        answer = model.predict(noisy.to(device), times.to(device), text).cpu()
    if not answer.isfinite().all():  # damaged, which the training tells by its name
        return believed or VELOCITY
    of_both = torch.stack([noise.flatten(1), clean.flatten(1)], dim=2)
    found = torch.linalg.lstsq(of_both, answer.float().flatten(1)[..., None]).solution[..., 0]

    def far(noise_share: torch.Tensor, picture_share: torch.Tensor) -> float:
        wanted = torch.stack([noise_share, picture_share], dim=1)
        return float(((found - wanted).square() * of_both.square().mean(1)).sum())

    shares, none = alphas.flatten(), torch.zeros(len(TIMESTEPS))
    distances = {EPSILON: far(none + 1, none), VELOCITY: far(shares.sqrt(), -(1 - shares).sqrt())}
    if believed:
        distances[believed] = min(distances[believed], far(none, none))
    return min(distances, key=lambda kind: distances[kind])


def _picture() -> np.ndarray:
    """A shaded picture, uint8 RGB (side, side, 3)."""
    ramp = np.linspace(40, 210, SIDE_PX)
    shades = (ramp[:, None] * 0.6 + ramp[None] * 0.4)[..., None] * np.array([1.0, 0.85, 0.7])
    return shades.astype(np.uint8)
