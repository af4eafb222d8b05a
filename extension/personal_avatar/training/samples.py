"""Pictures made inside the worker: the same prompts and seeds give the same noise on every device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.training.families.model import Conditioning, DiffusionModel

if TYPE_CHECKING:
    import torch


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
    before it is decoded; it may raise to stop.

    First all texts, then all latents, then all pictures: on a graphics card there is room for the decoder of large
    pictures only when the UNet is put away, and that takes seconds.
    """
    import torch

    def heeded(latents: torch.Tensor) -> np.ndarray:
        on_batch()
        return model.decode_many(latents)

    batches = [shots[at : at + settings.batch] for at in range(0, len(shots), settings.batch)]
    with torch.no_grad():
        texts = [_text(model, batch, settings) for batch in batches]
        with model.without(text=True):
            latents = []
            for batch, text in zip(batches, texts, strict=True):
                on_batch()
                latents.append(_denoised(model, batch, text, settings))
            with model.without(unet=True):
                return np.concatenate([heeded(one) for one in latents])


def latents_of(model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings) -> torch.Tensor:
    """What `make_pictures` decodes: float32 (shots, channels, side / 8, side / 8)."""
    text = _text(model, shots, settings)
    with model.without(text=True):
        return _denoised(model, shots, text, settings)


def _denoised(
    model: DiffusionModel, shots: Sequence[Shot], text: Conditioning, settings: SampleSettings
) -> torch.Tensor:
    """DPM-Solver++ 2M from the seeds' noise to clean latents. `text`: see `_text`."""
    import torch
    from diffusers import DPMSolverMultistepScheduler

    scheduler: Any = DPMSolverMultistepScheduler(**model.scheduler_config(), use_karras_sigmas=True)
    scheduler.set_timesteps(settings.steps)
    latents = torch.stack([_noise(shot.seed, settings.resolution_px // 8) for shot in shots]).to(model.compute.device)
    latents = latents * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        answer = _guided(model, latents, int(timestep), text, settings.guidance)
        latents = scheduler.step(answer, timestep, latents).prev_sample
    return latents


def _noise(seed: int, side: int) -> torch.Tensor:
    import torch

    return torch.randn((4, side, side), generator=torch.Generator("cpu").manual_seed(seed))


def _text(model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings) -> Conditioning:
    """Of the prompts, a row each; the unconditional rows before them, when guidance is on."""
    import torch

    text = model.encode_text([shot.prompt for shot in shots], settings.clip_skip)
    if settings.guidance == 1.0:
        return text
    empty = model.encode_text([settings.negative_prompt], settings.clip_skip)
    return {
        name: torch.cat([empty[name].expand(len(shots), *tensor.shape[1:]), tensor]) for name, tensor in text.items()
    }


def _guided(
    model: DiffusionModel, latents: torch.Tensor, timestep: int, text: Conditioning, guidance: float
) -> torch.Tensor:
    import torch

    if guidance == 1.0:
        return model.predict(latents, torch.full((len(latents),), timestep, device=latents.device), text)
    both = torch.cat([latents, latents])
    without, answer = model.predict(both, torch.full((len(both),), timestep, device=latents.device), text).chunk(2)
    return without + guidance * (answer - without)
