"""Pictures from captions, with the sampler that the WebUI calls DPM++ 2M Karras."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from . import codec, models
from .export import Networks


@torch.no_grad()
def sample_latents(
    networks: Networks, captions: list[str], seeds: list[int], steps: int = 20, guidance: float = 5.0
) -> torch.Tensor:
    """Latents of unit scale, float32 [n, 4, 24, 24]; seeds give the starting noise, one per caption."""
    from diffusers import DPMSolverMultistepScheduler

    config = models.read_config("scheduler")
    scheduler = DPMSolverMultistepScheduler.from_config(config, use_karras_sigmas=True)
    scheduler.set_timesteps(steps)
    tokenizer = models.load_tokenizer()
    wanted = networks.text(models.tokenize(tokenizer, captions))[0]
    empty = networks.text(models.tokenize(tokenizer, [""]))[0].expand_as(wanted)
    size = (4, models.LATENT_PX, models.LATENT_PX)
    latents = torch.stack([torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    for level in scheduler.timesteps:
        without, with_ = _predict(networks.unet, latents, level, torch.cat([empty, wanted])).chunk(2)
        latents = scheduler.step(without + guidance * (with_ - without), level, latents).prev_sample
    return latents


def _predict(unet: Any, latents: torch.Tensor, level: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return unet(torch.cat([latents, latents]), level, states).sample.float()


@torch.no_grad()
def decode_pictures(vae: Any, latents: torch.Tensor) -> np.ndarray:
    """uint8 [n, h, w, 3] RGB."""
    parts = [codec.decode(vae, part).clamp(-1, 1) for part in latents.split(4)]
    return ((torch.cat(parts) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def generate(
    networks: Networks, captions: list[str], seeds: list[int], guidance: float = 5.0, batch: int = 12
) -> np.ndarray:
    """uint8 [n, 192, 192, 3] RGB."""
    parts = []
    for start in range(0, len(captions), batch):
        end = start + batch
        parts.append(sample_latents(networks, captions[start:end], seeds[start:end], guidance=guidance))
    return decode_pictures(networks.vae, torch.cat(parts))
