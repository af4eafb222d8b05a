"""How long jobs take on this machine, learned from those that have run here.

What makes jobs alike is not known here: whoever opens the store says it, job by job, as an `Effort`.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from personal_avatar.jobs.account import Account

RUNS = 5


@dataclass(frozen=True)
class Effort:
    """`alike`: jobs of a kind with the same text take the same time for the same `work`, such as steps or pictures;
    `work` below 1: it is not known beforehand."""

    alike: str = ""
    work: float = 0.0


@dataclass(frozen=True)
class Lap:
    """A stage as it was of late. `seconds`: in all, or for each unit of work where `by_work`."""

    stage: str
    seconds: float
    by_work: bool

    def for_work(self, work: float) -> float:
        return self.seconds * work if self.by_work else self.seconds


@dataclass(frozen=True)
class Learned:
    """The stages of one sort of job, in their order; none when no such job has run to its end."""

    laps: tuple[Lap, ...] = ()

    def total_s(self, work: float) -> float | None:
        """Seconds that a whole job will take."""
        return sum(lap.for_work(work) for lap in self.laps) if self.laps else None

    def left_s(self, account: Account, work: float, now: float) -> float | None:
        """Seconds until a job that has told `account` is done: as it reckons itself, else its loop at the speed that
        was measured in it, then the stages after it as they were of late."""
        if (told := account.told_left_s(now)) is not None:
            return told
        stages = [lap.stage for lap in self.laps]
        loop = account.loop_left_s
        if account.stage not in stages:
            return loop
        here = stages.index(account.stage)
        later = sum(max(0.0, lap.for_work(work) - account.spent_s(lap.stage, now)) for lap in self.laps[here + 1:])
        if loop is None:
            loop = max(0.0, self.laps[here].for_work(work) - account.spent_s(account.stage, now))
        return loop + later


Runs = Callable[[str, str], Iterable[tuple[float, Account]]]


class History:
    """`runs(kind, alike)`: work and account of such jobs that succeeded, the last ones first. Asked once a sort of job
    and instance."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._known: dict[tuple[str, str], Learned] = {}
        self.now = time.time()

    def of(self, kind: str, alike: str) -> Learned:
        key = (kind, alike)
        if key not in self._known:
            self._known[key] = learned(list(self._runs(*key))[:RUNS])
        return self._known[key]


def learned(runs: list[tuple[float, Account]]) -> Learned:
    """What runs, the last one first, have in common: the middle one's seconds of each stage of the last run."""
    if not runs:
        return Learned()
    return Learned(tuple(_lap(stage, runs) for stage in runs[0][1].laps))


def _lap(stage: str, runs: list[tuple[float, Account]]) -> Lap:
    """Stages with a loop go by the work, where it is known of all runs; others take what they take."""
    having = [(work, account) for work, account in runs if stage in account.laps]
    by_work = all(work >= 1 and account.loops.get(stage) for work, account in having)
    return Lap(stage, median(account.laps[stage] / (work if by_work else 1.0) for work, account in having), by_work)
