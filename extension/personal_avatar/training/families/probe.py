"""Which of two possible answers a network gives, the noise or the velocity: read as the right one it errs less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.training.families.detect import EPSILON, VELOCITY
from personal_avatar.training.families.model import DiffusionModel

if TYPE_CHECKING:
    import torch

TIMESTEPS = (400, 600, 800)
SEED = 20
SIDE_PX = 64


def probe(model: DiffusionModel) -> str:
    """The kind whose mean squared error is smaller, for a smooth picture with much noise on it.

    Deterministic: the noise is made on the CPU. Where noise prevails, noise has unit variance and velocity the smaller
    one of the picture, so that even a network that cannot make out the picture tells the two apart.
    """
    import torch

    clean = model.encode_images(_picture()[None])[0].repeat(len(TIMESTEPS), 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator("cpu").manual_seed(SEED))
    alphas = model.alphas_cumprod().float()[list(TIMESTEPS)].reshape(-1, 1, 1, 1)
    times, device = torch.tensor(TIMESTEPS), model.compute.device
    with torch.no_grad():
        noisy = alphas.sqrt() * clean + (1 - alphas).sqrt() * noise
        text = model.encode_text([""] * len(TIMESTEPS))
        answer = model.predict(noisy.to(device), times.to(device), text).cpu()
    velocity = alphas.sqrt() * noise - (1 - alphas).sqrt() * clean
    return EPSILON if _error(answer, noise) <= _error(answer, velocity) else VELOCITY


def _picture() -> np.ndarray:
    """A shaded picture, uint8 RGB (side, side, 3)."""
    ramp = np.linspace(40, 210, SIDE_PX)
    shades = (ramp[:, None] * 0.6 + ramp[None] * 0.4)[..., None] * np.array([1.0, 0.85, 0.7])
    return shades.astype(np.uint8)


def _error(answer: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((answer - wanted).square().mean())
