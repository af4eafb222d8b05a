"""When the learning rate is how high, when checkpoints are saved, in which order pictures come."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from personal_avatar.training.planning.plan import TrainPlan

if TYPE_CHECKING:
    import torch

LAST_RATE = 0.05
AHEAD_UNTIL, EVEN_FROM = 0.2, 0.5  # shares of the steps


def rate_factor(step: int, total: int, plan: TrainPlan) -> float:
    """What the learning rate is multiplied with at `step` (0-based): linear warm-up, then constant or a half cosine
    down to `LAST_RATE`."""
    warm = min(1.0, (step + 1) / plan.warmup_steps) if plan.warmup_steps else 1.0
    if plan.schedule == "constant":
        return warm
    passed = (step - plan.warmup_steps) / max(1, total - plan.warmup_steps)
    falling = LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, max(0.0, passed))))
    return warm * falling


def ahead(passed: float, factor: float) -> float:
    """What the rate of a group that begins `factor` times as quickly is multiplied with when the share `passed` of the
    steps is done: that factor at first, then less and less, and 1 in the second half."""
    left = (EVEN_FROM - passed) / (EVEN_FROM - AHEAD_UNTIL)
    return 1.0 + (factor - 1.0) * min(1.0, max(0.0, left))


def save_steps(total: int, count: int) -> tuple[int, ...]:
    """Steps after which a checkpoint is saved: evenly spread, the last one at the end."""
    return tuple(sorted({max(1, round(total * number / count)) for number in range(1, count + 1)}))


@dataclass
class BatchOrder:
    """Batches of rows without end, in random order; all rows of a batch are of one of `groups` (pictures of one size).

    With one group each row comes once before any comes again; with several, a batch that a group cannot fill takes from
    the next round. `repeats`: how often each row comes in a round; nothing: once.
    """

    groups: Sequence[Hashable]
    generator: torch.Generator
    repeats: Sequence[int] = ()
    waiting: list[int] = field(default_factory=list)

    def take(self, count: int) -> torch.Tensor:
        """int64 (count,)"""
        import torch

        if not self.groups:
            raise ValueError("there is nothing to take from")
        taken: list[int] = []
        while len(taken) < count:
            group = self.groups[taken[0]] if taken else None
            found = next((row for row in self.waiting if not taken or self.groups[row] == group), None)
            if found is None:
                self.waiting += self._round()
                continue
            self.waiting.remove(found)
            taken.append(found)
        return torch.tensor(taken)

    def _round(self) -> list[int]:
        import torch

        times = self.repeats or [1] * len(self.groups)
        rows = [row for row, often in enumerate(times) for _ in range(often)]
        return [rows[place] for place in torch.randperm(len(rows), generator=self.generator).tolist()]

    def state(self) -> list[int]:
        return list(self.waiting)

    def set_state(self, waiting: list[int]) -> None:
        self.waiting = list(waiting)
