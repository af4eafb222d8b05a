"""How often an engine tells how far it is, and what it says of the time that is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from personal_avatar.training.planning.estimate import of_a_step, of_judging
from personal_avatar.training.planning.plan import TrainPlan
from personal_avatar.training.planning.schedule import save_steps

PROGRESS_EVERY_S = 0.5


@dataclass
class Pace:
    """Not more often than a page can show."""

    last_s: float = 0.0

    def is_due(self, always: bool = False) -> bool:
        """Whether so much time has passed since it was due last; `always`: it is, whenever that was."""
        now = time.monotonic()
        if not always and now - self.last_s < PROGRESS_EVERY_S:
            return False
        self.last_s = now
        return True


@dataclass
class Judging:
    """How long the pictures take by which checkpoints are judged: reckoned from the pace of the steps until the first
    was judged, from what that took afterwards. `samples`: what was judged, in samples of a training step."""

    plan: TrainPlan
    total: int
    spent_s: float = 0.0
    samples: float = 0.0

    @contextmanager
    def of_checkpoint(self, *, untrained: bool) -> Iterator[None]:
        """Around the judging of one; `untrained`: the untrained checkpoint with it."""
        began = time.monotonic()
        yield
        self.spent_s += time.monotonic() - began
        self.samples += of_judging(self.plan, 1, untrained=untrained, final=False)

    def left_s(self, saved: int, *, untrained: bool, seconds_per_step: float | None) -> float | None:
        """Of the checkpoints behind step `saved`, and of the end; `untrained`: the untrained checkpoint with them. None
        as long as nothing was measured."""
        checkpoints = sum(step > saved for step in save_steps(self.total, self.plan.save_count))
        samples = of_judging(self.plan, checkpoints, untrained=untrained, final=True)
        if self.samples > 0:
            return round(samples * self.spent_s / self.samples, 1)
        if not seconds_per_step:
            return None
        return round(samples * seconds_per_step / of_a_step(self.plan, self.total), 1)
