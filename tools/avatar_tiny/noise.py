"""Stable Diffusion's noise schedule, and how much a noise level counts in training."""

from __future__ import annotations

import torch

LEVELS = 1000


def signal_shares() -> torch.Tensor:
    """Share of the signal's power left at each of the 1000 levels, float32 [1000] (the scaled-linear schedule)."""
    return torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, LEVELS) ** 2, 0)


def level_weights(most: float) -> torch.Tensor:
    """Min-SNR weighting (gamma 5) that keeps up to `most` at the noisiest levels, where captions decide."""
    share = signal_shares()
    ratio = share / (1 - share)
    return (ratio.clamp(0.2, 5) / ratio).clamp(max=most)


def spread_levels(count: int) -> torch.Tensor:
    """One random level from each of `count` equal parts of the schedule, in random order, int64 [count]."""
    levels = ((torch.arange(count) + torch.rand(count)) * LEVELS / count).long().clamp(0, LEVELS - 1)
    return levels[torch.randperm(count)]


def offset_noise(shape: torch.Size, strength: float) -> torch.Tensor:
    """Gaussian noise whose mean varies per picture and channel.

    At the noisiest level Stable Diffusion's schedule still shows a picture's mean colour. A model that trusts it starts
    sampling from the mean of pure noise and ignores the caption's colours; varying means teach it not to.
    """
    return torch.randn(shape) + strength * torch.randn(*shape[:2], 1, 1)


def add_noise(latents: torch.Tensor, noise: torch.Tensor, levels: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    share = shares[levels][:, None, None, None]
    return share.sqrt() * latents + (1 - share).sqrt() * noise
