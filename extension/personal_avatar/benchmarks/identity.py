"""`personal-avatar bench speed --identity`: what a face costs a step beyond plain sampling, ours against diffusers'."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.benchmarks import process
from personal_avatar.benchmarks.identity_work import (
    ENGINES,
    OURS,
    PIPELINE,
    PLAIN,
    REFERENCE,
    USUAL_STEPS,
    IdentityTimed,
    IdentityWork,
)
from personal_avatar.domain import from_json, to_json
from personal_avatar.storage import write_json

CHILD = "personal_avatar.benchmarks.identity_child"
Say = Callable[[str], None]


@dataclass(frozen=True)
class MeasuredIdentity:
    """One engine: its turns beside the others', its memory alone in a process."""

    timed: IdentityTimed
    peak_memory_gb: float

    def per_turn(self, kind: str) -> list[float]:
        """Seconds of a step, of every turn, without the first step; `kind`: "seconds" or "cpu_seconds"."""
        return [statistics.median(getattr(turn, kind)[1:]) for turn in self.timed.turns]

    @property
    def setup_seconds(self) -> float:
        """What is computed once: while it is entered, and what the first step takes longer than the others."""
        return statistics.median(
            turn.setup_seconds + turn.seconds[0] - others
            for turn, others in zip(self.timed.turns, self.per_turn("seconds"), strict=True)
        )

    def to_document(self) -> dict[str, Any]:
        times = self.per_turn("seconds")
        middle = statistics.median(times)
        return {
            "engine": self.timed.engine,
            "seconds_per_step": round(middle, 5),
            "spread": round((max(times) - min(times)) / middle, 3),
            "cpu_seconds_per_step": round(statistics.median(self.per_turn("cpu_seconds")), 5),
            "setup_seconds": round(self.setup_seconds, 5),
            "peak_memory_gb": self.peak_memory_gb,
            "turns": [round(one, 5) for one in times],
        }


def measure(work: IdentityWork, say: Say) -> dict[str, Any]:
    """The document. Raises `OutOfMemory`, `Crashed`."""
    with tempfile.TemporaryDirectory(prefix="personal-avatar-bench-") as folder:
        bench = Bench(work, Path(folder))
        bench.run(())
        alone = {}
        for name in ENGINES:
            alone[name] = bench.run((name,))[name]
            say(f"  {name:<18} {alone[name].peak_memory_gb:.2f} GB")
        say(f"  all in turn, {work.turns} times {work.steps} steps each")
        together = bench.run(ENGINES)
        measured = {name: MeasuredIdentity(together[name], alone[name].peak_memory_gb) for name in ENGINES}
        found = {name: np.load(alone[name].latents) for name in ENGINES}
    return document(work, measured, found)


@dataclass(frozen=True)
class Bench:
    """Processes that measure, with their files in `folder`."""

    work: IdentityWork
    folder: Path

    def run(self, names: tuple[str, ...]) -> dict[str, IdentityTimed]:
        """Engines in one process: alone for a single turn, several for all; none: the file of the IdentityNet."""
        work_file, result = self.folder / "work.json", self.folder / f"{'+'.join(names)}.json"
        alone = len(names) == 1
        write_json(work_file, {**to_json(self.work), "turns": 0 if alone else self.work.turns})
        arguments = [",".join(names), str(work_file), str(self.folder / "net.safetensors"), str(result)]
        command = [sys.executable, "-m", CHILD, *arguments]
        process.run(command, names[0] if alone else "the benchmark", process.environment())
        if not names:
            return {}
        timed = [from_json(IdentityTimed, one) for one in json.loads(result.read_text(encoding="utf-8"))]
        return {one.engine: one for one in timed}


def document(
    work: IdentityWork, measured: Mapping[str, MeasuredIdentity], latents: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Ratios below 1 are good: ours costs that share of what diffusers' classes cost beyond plain sampling.

    `overhead_ratio`: both attentions to the face by torch's kernel; `..._to_pipeline`: the community pipeline's
    attention; `..._cpu`: of processor time; `..._with_setup`: with what is computed once spread over a usual picture.
    """
    over = {name: overhead(measured, name) for name in (OURS, REFERENCE, PIPELINE)}
    setup = {name: (measured[name].setup_seconds - measured[PLAIN].setup_seconds) / USUAL_STEPS for name in over}
    cpu = {name: overhead(measured, name, "cpu_seconds") for name in over}
    first = measured[OURS].timed
    return {
        "work": {**work.to_document(), "precision": first.precision, "device": first.device, "threads": first.threads,
                 "torch": first.torch},
        "results": [one.to_document() for one in measured.values()],
        "overhead_seconds_per_step": {name: round(one, 5) for name, one in over.items()},
        "overhead_ratio": ratio(over[OURS], over[REFERENCE]),
        "overhead_ratio_cpu": ratio(cpu[OURS], cpu[REFERENCE]),
        "overhead_ratio_with_setup": ratio(over[OURS] + setup[OURS], over[REFERENCE] + setup[REFERENCE]),
        "overhead_ratio_to_pipeline": ratio(over[OURS], over[PIPELINE]),
        "relative_difference": difference(latents[OURS], latents[REFERENCE]),
        "relative_difference_to_pipeline": difference(latents[OURS], latents[PIPELINE]),
        "relative_change_by_the_face": difference(latents[OURS], latents[PLAIN]),
    }


def overhead(measured: Mapping[str, MeasuredIdentity], name: str, kind: str = "seconds") -> float:
    """Seconds of a step beyond plain sampling: of the same turn, because the machine is not the same in all."""
    pairs = zip(measured[name].per_turn(kind), measured[PLAIN].per_turn(kind), strict=True)
    return statistics.median(one - plain for one, plain in pairs)


def ratio(ours: float, other: float) -> float | None:
    """None where the other's overhead drowned in the noise."""
    return round(ours / other, 3) if other > 0 else None


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Length of the difference as a share of the other's length."""
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))
