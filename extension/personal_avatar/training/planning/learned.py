"""What trainings on this machine really took, beside what was predicted: later predictions are corrected by it.

One file in our data folder, numbers alone: nothing in it tells of a person. It may be deleted at any time.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile, Method, to_json
from personal_avatar.storage import write_json
from personal_avatar.training.planning.plan import TrainPlan, resolution_of

FILE = "measured-memory.json"
VERSION = 4
KEPT = 200  # the newest
LIKELY = (0.5, 2.0)  # a ratio outside of this was no ordinary training
# What the memory of a step follows from besides family, method and resolution.
FEATURES = (
    "batch_size", "precision", "gradient_checkpointing", "optimiser", "ema_decay", "rank", "conv_rank", "blocks",
    "dora", "text_encoder_learning_rate", "prior_weight",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What a training was. `memory`: "vram" or "ram"; `features`: of the plan."""

    memory: str
    family: str
    method: str
    px: int
    features: tuple[tuple[str, Any], ...]


def case_of(plan: TrainPlan, base: BaseModelFile, method: Method, memory: str) -> Case:
    values = plan.dict()
    features = tuple((name, values[name]) for name in FEATURES if name in values)
    return Case(memory, base.family.value, method.value, resolution_of(plan, base), features)


@dataclass(frozen=True)
class Learned:
    """Ratios of measured to predicted memory, newest last."""

    ratios: tuple[tuple[Case, float], ...] = ()

    def ratio(self, case: Case) -> float:
        """What a prediction is to be multiplied by: from the same training, else from those of the same family, method
        and kind of memory; 1 where nothing was measured."""
        same = [ratio for known, ratio in self.ratios if known == case]
        alike = [ratio for known, ratio in self.ratios if _alike(known, case)]
        return statistics.median((same or alike or [1.0])[-5:])

    def knows(self, case: Case) -> bool:
        """Whether such a training was measured here."""
        return any(known == case for known, _ in self.ratios)

    def with_ratio(self, case: Case, ratio: float) -> Learned:
        """One more; what cannot be the memory of this training is left out."""
        if not LIKELY[0] <= ratio <= LIKELY[1]:
            return self
        return Learned((*self.ratios, (case, round(ratio, 3)))[-KEPT:])


def _alike(one: Case, other: Case) -> bool:
    return (one.memory, one.family, one.method) == (other.memory, other.family, other.method)


def load(folder: Path) -> Learned:
    """From our data folder; a damaged file counts as none."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Learned(tuple(_current(found["version"], _rows(found["trainings"]))))
    except (OSError, ValueError, KeyError, TypeError):
        return Learned()


def _current(version: int, ratios: Iterable[tuple[Case, float]]) -> Iterable[tuple[Case, float]]:
    """Former versions held what cards took against other predictions than today's."""
    return (row for row in ratios if version >= VERSION or row[0].memory != "vram")


def _rows(rows: Iterable[dict[str, Any]]) -> Iterable[tuple[Case, float]]:
    for row in rows:
        case = dict(row["case"])
        case["features"] = tuple((str(name), value) for name, value in case["features"])
        yield Case(**case), float(row["ratio"])


def save(folder: Path, learned: Learned) -> None:
    rows = [{"case": to_json(case), "ratio": ratio} for case, ratio in learned.ratios]
    write_json(folder / FILE, {"version": VERSION, "trainings": rows})
