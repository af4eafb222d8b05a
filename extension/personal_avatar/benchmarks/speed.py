"""`personal-avatar bench speed`: seconds and memory of one step, for every engine, in one run.

The machine may be shared, so the engines take turns, forwards and backwards, and the spread is told with every number.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.benchmarks import process, sd_scripts
from personal_avatar.benchmarks.engines import BOUND, BOUND_FUSED, OURS, PLAIN
from personal_avatar.benchmarks.work import SpeedWork, Timed
from personal_avatar.environment.kohya import SdScripts

Say = Callable[[str], None]
ENGINES = (OURS, PLAIN, BOUND, BOUND_FUSED)


@dataclass(frozen=True)
class Measured:
    """All runs of one engine."""

    engine: str
    runs: tuple[Timed, ...]

    @property
    def seconds(self) -> float:
        return statistics.median(self._all())

    @property
    def spread(self) -> float:
        """Width of the middle four fifths of all times, as a share of the median."""
        ordered = sorted(self._all())
        cut = len(ordered) // 10
        return (ordered[-1 - cut] - ordered[cut]) / self.seconds

    @property
    def cpu_seconds(self) -> float:
        return min(run.cpu_seconds for run in self.runs)

    @property
    def peak_memory_gb(self) -> float:
        return max(run.peak_memory_gb for run in self.runs)

    def _all(self) -> list[float]:
        return [second for run in self.runs for second in run.seconds]

    def to_document(self) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "seconds_per_step": round(self.seconds, 5),
            "spread": round(self.spread, 3),
            "cpu_seconds_per_step": round(self.cpu_seconds, 5) or None,
            "peak_memory_gb": self.peak_memory_gb,
            "runs": [round(statistics.median(run.seconds), 5) for run in self.runs],
            "load_seconds": round(statistics.median(run.load_seconds for run in self.runs), 2) or None,
            "torch": self.runs[0].torch,
        }


def measure(work: SpeedWork, rounds: int, scripts: SdScripts | None, say: Say) -> dict[str, Any]:
    """The document of `bench speed`, but for the start-up. Raises `AvatarError` when an engine cannot do the work."""
    names = [*ENGINES, *([sd_scripts.NAME] if scripts else [])]
    runs: dict[str, list[Timed]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="personal-avatar-bench-") as scratch:
        for number in range(rounds):
            for name in names if number % 2 == 0 else reversed(names):
                timed = _run(name, work, scripts, Path(scratch))
                runs[name].append(timed)
                say(f"  round {number + 1} of {rounds}: {name:<12} {statistics.median(timed.seconds):.4f} s a step, "
                    f"{timed.peak_memory_gb:.2f} GB")
    return document(work, [Measured(name, tuple(runs[name])) for name in names])


def _run(name: str, work: SpeedWork, scripts: SdScripts | None, scratch: Path) -> Timed:
    if name == sd_scripts.NAME and scripts is not None:
        return sd_scripts.measure(scripts, work, scratch)
    return process.measure(name, work, scratch)


def document(work: SpeedWork, measured: Sequence[Measured]) -> dict[str, Any]:
    """Ratios above 1 and fractions near 1 are good; null for what was not measured.

    `fraction_of_bound`: the least time that a step can take, as a share of ours; `..._cpu`: the same of processor time,
    which others on the machine disturb less.
    """
    found = {one.engine: one for one in measured}
    ours, first = found[OURS], found[OURS].runs[0]
    least = min((found[name] for name in (BOUND, BOUND_FUSED)), key=lambda one: one.seconds)
    other = found.get(sd_scripts.NAME)
    return {
        "work": {**work.to_document(), "device": first.device, "threads": first.threads},
        "results": [one.to_document() for name, one in found.items() if name not in (BOUND, BOUND_FUSED)],
        "bound_seconds_per_step": round(least.seconds, 5),
        "bound_spread": round(least.spread, 3),
        "bound_attention": "fused" if least.engine == BOUND_FUSED else "as ours",
        "fraction_of_bound": round(least.seconds / ours.seconds, 3),
        "fraction_of_bound_cpu": round(least.cpu_seconds / ours.cpu_seconds, 3) if ours.cpu_seconds else None,
        "ratio_to_minimal": round(found[PLAIN].seconds / ours.seconds, 3),
        "ratio_to_sd_scripts": round(other.seconds / ours.seconds, 3) if other else None,
        "memory_of_sd_scripts": round(ours.peak_memory_gb / other.peak_memory_gb, 3) if other else None,
        "largest_difference_to_minimal": largest_difference(ours.runs[0], found[PLAIN].runs[0]),
    }


def largest_difference(one: Timed, other: Timed) -> float | None:
    """Between the loss curves of two engines that began with the same seed, as a share of the loss."""
    pairs = list(zip(one.losses, other.losses, strict=False))
    return max((abs(a - b) / max(abs(b), 1e-9) for a, b in pairs), default=None)
