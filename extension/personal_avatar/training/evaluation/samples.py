"""Pictures made inside the worker: the same prompts and seeds give the same noise on every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.training.data.reading import TextStates, read
from personal_avatar.training.evaluation.batches import in_batches
from personal_avatar.training.families.detect import LATENT_PX
from personal_avatar.training.families.model import Conditioning, DiffusionModel

if TYPE_CHECKING:
    import torch


UNGUIDED = 1.0


@dataclass(frozen=True)
class Shot:
    """One picture to make."""

    prompt: str
    seed: int


@dataclass(frozen=True)
class SampleSettings:
    """Square pictures of `resolution_px`; `guidance` 1 switches the unconditional half off."""

    resolution_px: int
    steps: int = 14
    guidance: float = 5.0
    batch: int = 8
    negative_prompt: str = ""
    clip_skip: int = 1


def make_pictures(
    model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings, on_batch: Callable[[], None] = lambda: None
) -> np.ndarray:
    """uint8 RGB (shots, height, width, 3), in order. `on_batch` is called before each batch is painted, and again
    before it is decoded; it may raise to stop. Raises `OutOfVram` where there is no room for one picture.

    First all texts, then all latents, then all pictures: on a graphics card there is room for the decoder of large
    pictures only when the UNet is put away, and that takes seconds.
    """
    import torch

    def heeded(latents: torch.Tensor) -> np.ndarray:
        on_batch()
        return model.decode_many(latents)

    def painted(batch: Sequence[Shot]) -> torch.Tensor:
        on_batch()
        return _denoised(model, batch, texts, settings)

    with torch.no_grad():
        texts = _texts(model, shots, settings)
        with model.without(text=True):
            latents = in_batches(shots, settings.batch, painted)
            with model.without(unet=True):
                return np.concatenate([heeded(one) for one in latents])


def latents_of(model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings) -> torch.Tensor:
    """What `make_pictures` decodes: float32 (shots, channels, side / 8, side / 8)."""
    texts = _texts(model, shots, settings)
    with model.without(text=True):
        return _denoised(model, shots, texts, settings)


def _denoised(
    model: DiffusionModel, shots: Sequence[Shot], texts: TextStates, settings: SampleSettings
) -> torch.Tensor:
    """DPM-Solver++ 2M from the seeds' noise to clean latents. `texts`: of the prompts, see `_texts`."""
    import torch
    from diffusers import DPMSolverMultistepScheduler

    empty = [] if settings.guidance == UNGUIDED else [settings.negative_prompt] * len(shots)
    text = texts.of([*empty, *(shot.prompt for shot in shots)])
    scheduler: Any = DPMSolverMultistepScheduler(**model.scheduler_config(), use_karras_sigmas=True)
    scheduler.set_timesteps(settings.steps)
    scheduler.set_begin_index(0)  # of several steps with one timestep, as where noise is all, it would take the second
    side = settings.resolution_px // LATENT_PX
    latents = torch.stack([_noise(shot.seed, side) for shot in shots]).to(model.compute.device)
    latents = latents * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        answer = _guided(model, latents, int(timestep), text, settings.guidance)
        latents = scheduler.step(answer, timestep, latents).prev_sample
    return latents


def _noise(seed: int, side: int) -> torch.Tensor:
    import torch

    return torch.randn((4, side, side), generator=torch.Generator("cpu").manual_seed(seed))


def _texts(model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings) -> TextStates:
    """Of all prompts, and of the negative one where guidance is on."""
    empty = [] if settings.guidance == UNGUIDED else [settings.negative_prompt]
    return read(model, [*empty, *(shot.prompt for shot in shots)], settings.clip_skip)


def _guided(
    model: DiffusionModel, latents: torch.Tensor, timestep: int, text: Conditioning, guidance: float
) -> torch.Tensor:
    import torch

    if guidance == UNGUIDED:
        return model.predict(latents, torch.full((len(latents),), timestep, device=latents.device), text)
    both = torch.cat([latents, latents])
    without, answer = model.predict(both, torch.full((len(both),), timestep, device=latents.device), text).chunk(2)
    return without + guidance * (answer - without)
