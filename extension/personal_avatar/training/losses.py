"""Noise, targets and weights of the diffusion loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.planning.plan import TrainPlan


def is_velocity(prediction: str) -> bool:
    """Whether a checkpoint predicts velocity ("v", "v_prediction") and not noise ("epsilon")."""
    return prediction.startswith("v")


def signal_to_noise(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """alpha / (1 - alpha) of each timestep, never quite zero (the last timestep of a zero-terminal schedule is)."""
    return (alphas_cumprod / (1.0 - alphas_cumprod)).clamp(min=1e-8)


def min_snr_weights(alphas_cumprod: torch.Tensor, gamma: float, prediction: str) -> torch.Tensor:
    """Weight of each timestep's squared error, float32 (timesteps,): min(snr, gamma) / snr for noise,
    min(snr, gamma) / (snr + 1) for velocity (Hang et al. 2023, arXiv 2303.09556). `gamma` 0: all ones."""
    import torch

    if gamma <= 0:
        return torch.ones(len(alphas_cumprod))
    snr = signal_to_noise(alphas_cumprod)
    divisor = snr + 1.0 if is_velocity(prediction) else snr
    return (snr.clamp(max=gamma) / divisor).float()


def timestep_weights(alphas_cumprod: torch.Tensor, plan: TrainPlan, prediction: str) -> torch.Tensor:
    """What a picture's error counts at each timestep, float32 (timesteps,). With `plan.scale_v_loss` a velocity's
    error counts snr / (snr + 1), which makes it the error of the noise in it."""
    weights = min_snr_weights(alphas_cumprod, plan.min_snr_gamma, prediction)
    if plan.scale_v_loss and is_velocity(prediction):
        snr = signal_to_noise(alphas_cumprod)
        weights = weights * (snr / (snr + 1.0)).float()
    return weights


def spread_timesteps(count: int, total: int, generator: torch.Generator) -> torch.Tensor:
    """int64 (count,): one uniform draw in each of `count` equal slices of 0..total-1, in random order."""
    import torch

    places = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) * total / count
    return places.long().clamp(0, total - 1)


def middle_timesteps(count: int, total: int, generator: torch.Generator) -> torch.Tensor:
    """`spread_timesteps`, but most in the middle: t / total is logit-normal (Esser et al. 2024, arXiv 2403.03206), so
    that half of all draws lie within a third to two thirds, where faces take their form."""
    import torch

    places = (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
    found = torch.sigmoid(torch.special.ndtri(places.double().clamp(1e-6, 1 - 1e-6))) * total
    return found.long().clamp(0, total - 1)


def draw_noise(shape: torch.Size, offset: float, generator: torch.Generator) -> torch.Tensor:
    """Standard normal, float32, on the CPU; `offset` adds one more draw per picture and channel, times `offset`."""
    import torch

    noise = torch.randn(shape, generator=generator)
    if offset > 0:
        noise = noise + offset * torch.randn((*shape[:2], 1, 1), generator=generator)
    return noise


def add_noise(latents: torch.Tensor, noise: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """sqrt(alpha) latents + sqrt(1 - alpha) noise; `alpha` float (batch,) is the schedule's cumulative product."""
    share = alpha.view(-1, 1, 1, 1)
    return share.sqrt() * latents + (1.0 - share).sqrt() * noise


def target(latents: torch.Tensor, noise: torch.Tensor, alpha: torch.Tensor, prediction: str) -> torch.Tensor:
    """What the network should answer: the noise, or the velocity sqrt(alpha) noise - sqrt(1 - alpha) latents."""
    if not is_velocity(prediction):
        return noise
    share = alpha.view(-1, 1, 1, 1)
    return share.sqrt() * noise - (1.0 - share).sqrt() * latents


def weighted_error(
    answer: torch.Tensor, wanted: torch.Tensor, weights: torch.Tensor, places: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean over the batch of each picture's mean squared error times its weight; a scalar. `places` (batch, height,
    width) says what each place of a picture counts; its mean is 1."""
    squares = (answer.float() - wanted).pow(2)
    if places is not None:
        squares = squares * places.unsqueeze(1)
    return (squares.mean(dim=(1, 2, 3)) * weights).mean()


def place_weights(mask: torch.Tensor, outside: float) -> torch.Tensor:
    """1 where `mask` (height, width) in 0..1 is 1, `outside` where it is 0; scaled to a mean of 1."""
    weights = outside + (1.0 - outside) * mask
    return weights / weights.mean().clamp(min=1e-6)
