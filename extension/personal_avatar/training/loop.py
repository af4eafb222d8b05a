"""One training loop for all methods and all model families."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import NanLoss
from personal_avatar.training import losses
from personal_avatar.training.cache import Latents, TextStates
from personal_avatar.training.compute import scaler_for
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.plan import TrainPlan
from personal_avatar.training.schedule import RowOrder, rate_factor, save_steps

if TYPE_CHECKING:
    import torch

MAX_GRADIENT_NORM = 1.0
EXPLODED_LOSS = 50.0  # squared error; answers and targets have about unit variance
HALVINGS = 2
SNAPSHOTS = 20


@dataclass(frozen=True)
class TrainingSet:
    """Row i of `latents` has `captions[i]`; `class_captions[i]` says "man" in place of the person's trigger."""

    latents: Latents
    captions: list[str]
    class_captions: list[str]
    text: TextStates | None  # None: the text encoder is trained, captions are encoded at every step


@dataclass(frozen=True)
class Hooks:
    """`step(done, total, loss, seconds_per_step)` may raise to stop; `save(step)`; `note(sentence)`."""

    step: Callable[[int, int, float, float], None]
    save: Callable[[int], None]
    note: Callable[[str], None]


@dataclass
class Trainer:
    """A training in progress. `snapshot` and `restore` carry everything that the next step depends on."""

    model: DiffusionModel
    method: TrainingMethod
    data: TrainingSet
    plan: TrainPlan
    total: int
    done: int = 0
    rate: float = 1.0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        import torch

        self._optimiser = torch.optim.AdamW(self.method.parameter_groups(), betas=(0.9, 0.99), weight_decay=0.01)
        self._rates = [group["lr"] for group in self._optimiser.param_groups]
        self._generator = torch.Generator("cpu").manual_seed(self.plan.seed)
        self._order = RowOrder(len(self.data.captions), self._generator)
        self._alphas = self.model.alphas_cumprod().float()
        self._weights = losses.min_snr_weights(self._alphas, self.plan.min_snr_gamma, self.model.base.prediction)
        self._scaler = scaler_for(self.model.compute)
        if self.plan.gradient_checkpointing:
            self.model.unet.enable_gradient_checkpointing()

    def run(self, hooks: Hooks) -> None:
        """All steps that are left. Raises `NanLoss` when halving the learning rate did not help."""
        saves, every = save_steps(self.total, self.plan.save_count), max(10, self.total // SNAPSHOTS)
        good, halvings, spent_s, first = self.snapshot(), 0, 0.0, self.done
        while self.done < self.total:
            began = time.monotonic()
            loss = self.step()
            spent_s += time.monotonic() - began
            if loss is None:
                halvings += 1
                self._halve(good, halvings, hooks)
                continue
            hooks.step(self.done, self.total, loss, spent_s / max(1, self.done - first))
            if self.done % every == 0:
                good = self.snapshot()
            if self.done in saves:
                hooks.save(self.done)

    def step(self) -> float | None:
        """One optimiser step; its loss, or None when the numbers blew up (the weights are then not to be used)."""
        import torch

        factor = self.rate * rate_factor(self.done, self.total, self.plan)
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        if not self.model.unet.training:
            self.model.unet.train()
        loss = self._loss(self._order.take(self.plan.batch_size))
        value = float(loss.detach())
        if not value < EXPLODED_LOSS:  # also true for NaN
            return None
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._optimiser)
        norm = torch.nn.utils.clip_grad_norm_(self._parameters(), MAX_GRADIENT_NORM)
        if not self._scaler.is_enabled() and not torch.isfinite(norm):
            return None
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)
        self.done += 1
        self.losses.append(value)
        return value

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [weight for group in self._optimiser.param_groups for weight in group["params"]]

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Error on the person's pictures and, when asked for, how far the class has moved from the checkpoint."""
        device = self.model.compute.device
        latents = self.data.latents.draw(rows, self._generator)
        noise = losses.draw_noise(latents.shape, self.plan.noise_offset, self._generator)
        times = losses.spread_timesteps(len(rows), len(self._alphas), self._generator)
        alpha = self._alphas[times]
        noisy = losses.add_noise(latents, noise, alpha).to(device)
        wanted = losses.target(latents, noise, alpha, self.model.base.prediction).to(device)
        weights, times = self._weights[times].to(device), times.to(device)
        answer = self.model.predict(noisy, times, self._text(self._captions(rows)))
        loss = losses.weighted_error(answer, wanted, weights)
        if self.plan.prior_weight > 0:
            half = slice(max(1, len(rows) // 2))
            loss = loss + self.plan.prior_weight * self._prior(rows[half], noisy[half], times[half], weights[half])
        return loss

    def _prior(
        self, rows: torch.Tensor, noisy: torch.Tensor, times: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """Keep the class what it was: the target is the untrained checkpoint's own answer to the class caption.

        It gets half of the batch, for it costs as much as the training itself.
        """
        import torch

        captions = [self.data.class_captions[row] for row in rows.tolist()]
        with torch.no_grad(), self.method.strength(0.0):
            before = self.model.predict(noisy, times, self._text(captions))
        return losses.weighted_error(self.model.predict(noisy, times, self._text(captions)), before, weights)

    def _captions(self, rows: torch.Tensor) -> list[str]:
        """The rows' captions, some dropped at random so that the unconditional answer follows."""
        import torch

        dropped = torch.rand(len(rows), generator=self._generator) < self.plan.caption_dropout
        return [
            "" if drop else self.data.captions[row] for row, drop in zip(rows.tolist(), dropped.tolist(), strict=True)
        ]

    def _text(self, captions: list[str]) -> Conditioning:
        return self.data.text.of(captions) if self.data.text else self.model.encode_text(captions)

    def _halve(self, good: dict[str, Any], halvings: int, hooks: Hooks) -> None:
        """Back to the last good state at half the learning rate; the random numbers go on, so that they differ."""
        at = self.done
        if halvings > HALVINGS:
            raise NanLoss(f"The loss became infinite at step {at}, also at {self.rate:g} times the learning rate.")
        generator = self._generator.get_state()
        self.restore(good)
        self._generator.set_state(generator)
        self.rate = 0.5**halvings
        hooks.note(f"The loss blew up at step {at}; going on from step {self.done} at half the learning rate.")

    def snapshot(self) -> dict[str, Any]:
        return {
            "done": self.done,
            "rate": self.rate,
            "losses": list(self.losses),
            "weights": self.method.state(),
            "optimiser": copy.deepcopy(self._optimiser.state_dict()),
            "generator": self._generator.get_state(),
            "order": self._order.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.done, self.rate = state["done"], state["rate"]
        self.losses[:] = state["losses"]
        self.method.load(state["weights"])
        self._optimiser.load_state_dict(copy.deepcopy(state["optimiser"]))
        self._optimiser.zero_grad(set_to_none=True)
        self._generator.set_state(state["generator"])
        self._order.set_state(state["order"])
