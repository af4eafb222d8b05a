"""The plain loop that everybody would write with diffusers and peft: what our own one is held against.

It knows nothing of our loop; it draws the same random numbers in the same order, so that its losses must be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from personal_avatar.training.compute import scaler_for

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.model import DiffusionModel

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]


@dataclass(frozen=True)
class Settings:
    """Of a LoRA on the UNet's attention. `dropout`: share of captions that become empty."""

    rank: int
    alpha: float
    learning_rate: float
    batch: int = 1
    dropout: float = 0.0
    noise_offset: float = 0.0
    seed: int = 1


class PlainLoop:
    """`means`, `spreads`: of each picture's latents, float32 (channels, height, width); `captions` as they come."""

    def __init__(
        self,
        model: DiffusionModel,
        means: Sequence[torch.Tensor],
        spreads: Sequence[torch.Tensor],
        captions: Sequence[str],
        settings: Settings,
    ) -> None:
        import torch
        from diffusers import DDPMScheduler
        from peft import LoraConfig

        self.model, self.settings = model, settings
        self.means, self.spreads = torch.stack(list(means)), torch.stack(list(spreads))
        with torch.no_grad():
            self.empty, self.text = model.encode_text([""]), model.encode_text(captions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            config = LoraConfig(r=settings.rank, lora_alpha=settings.alpha, target_modules=ATTENTION)
            model.unet.add_adapter(config)
        weights = [weight.requires_grad_() for name, weight in model.unet.named_parameters() if ".lora_" in name]
        for weight in weights:
            weight.data = weight.data.float()
        self.optimiser = torch.optim.AdamW(weights, settings.learning_rate, (0.9, 0.99), weight_decay=0.01)
        self.scaler = scaler_for(model.compute)
        self.weights, self.scheduler = weights, DDPMScheduler.from_config(model.scheduler_config())
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.waiting: list[int] = []
        model.unet.train()

    def step(self) -> torch.Tensor:
        """One optimiser step; the loss, detached, on the device."""
        import torch

        rows = self._rows()
        latents = self.means[rows] + self.spreads[rows] * self._normal(self.means[rows].shape)
        noise = self._normal(latents.shape)
        if self.settings.noise_offset:
            noise = noise + self.settings.noise_offset * self._normal((*noise.shape[:2], 1, 1))
        times = self._times(len(rows))
        noisy = self.scheduler.add_noise(latents, noise, times)
        is_velocity = self.scheduler.config.prediction_type == "v_prediction"
        target = self.scheduler.get_velocity(latents, noise, times) if is_velocity else noise
        device = self.model.compute.device
        found = self.model.predict(noisy.to(device), times.to(device), self._text(rows))
        loss = torch.nn.functional.mse_loss(found.float(), target.to(device))
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimiser)
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad()
        return loss.detach()

    def _rows(self) -> list[int]:
        import torch

        while len(self.waiting) < self.settings.batch:
            self.waiting += torch.randperm(len(self.means), generator=self.generator).tolist()
        rows, self.waiting = self.waiting[: self.settings.batch], self.waiting[self.settings.batch :]
        return rows

    def _normal(self, shape: Any) -> torch.Tensor:
        import torch

        return torch.randn(shape, generator=self.generator)

    def _times(self, count: int) -> torch.Tensor:
        """One in each of `count` equal parts of all timesteps, in random order."""
        import torch

        total = len(self.scheduler.alphas_cumprod)
        order = torch.randperm(count, generator=self.generator)
        return ((order + torch.rand(count, generator=self.generator)) * total / count).long().clamp(0, total - 1)

    def _text(self, rows: list[int]) -> dict[str, torch.Tensor]:
        import torch

        dropped = torch.rand(len(rows), generator=self.generator) < self.settings.dropout
        chosen = [(self.empty, 0) if drop else (self.text, row) for row, drop in zip(rows, dropped, strict=True)]
        return {name: torch.stack([states[name][row] for states, row in chosen]) for name in self.text}
