"""The VAE as a codec: where it starts, how it is called, and how its latents get unit variance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from .linear_start import start_as_linear_codec
from .models import LATENT_SCALE


def encode(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """Mean latents of unit scale, [n, 4, h/8, w/8], of pictures [n, 3, h, w] in -1..1."""
    return vae.quant_conv(vae.encoder(pictures))[:, :4] * LATENT_SCALE


def decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pictures [n, 3, h, w], about -1..1, from latents of unit scale."""
    return vae.decoder(vae.post_quant_conv(latents / LATENT_SCALE))


def load_or_start(vae: Any, state: Path) -> int:
    """Continue from a saved state, else start as a linear codec. Returns the steps done."""
    if not state.exists():
        start_as_linear_codec(vae)
        return 0
    saved = torch.load(state, map_location="cpu", weights_only=True)
    vae.load_state_dict(saved["vae"])
    return int(saved["steps"])


@torch.no_grad()
def whiten(vae: Any, batches: Iterable[torch.Tensor]) -> torch.Tensor:
    """Fold a rotation and scaling into the two 1x1 convolutions so that scaled latents have zero mean and unit
    covariance.

    batches: pictures [n, 3, h, w] in -1..1. The log-variance becomes a constant (deviation .02 after scaling).
    Returns the eigenvalues of the covariance before, float64 [4].
    """
    latents = torch.cat([encode(vae, batch).float() for batch in batches]).permute(1, 0, 2, 3).reshape(4, -1).double()
    mean = latents.mean(1)
    values, vectors = torch.linalg.eigh((latents - mean[:, None]) @ (latents - mean[:, None]).T / latents.shape[1])
    forward = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    inverse = torch.linalg.inv(forward)
    before, after = vae.quant_conv, vae.post_quant_conv
    kernel, bias = before.weight[:4, :, 0, 0].double(), before.bias[:4].double()
    before.weight[:4, :, 0, 0] = (forward @ kernel).float()
    before.bias[:4] = (forward @ (bias - mean / LATENT_SCALE)).float()
    before.weight[4:] = 0
    before.bias[4:] = 2 * math.log(0.02 / LATENT_SCALE)
    kernel = after.weight[:, :, 0, 0].double()
    after.bias[:] = (kernel @ (mean / LATENT_SCALE) + after.bias.double()).float()
    after.weight[:, :, 0, 0] = (kernel @ inverse).float()
    return values
