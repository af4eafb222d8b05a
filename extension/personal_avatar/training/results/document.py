"""The result document of a training, read without trust in its being complete: what advice and report go by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import LIKENESS, NO_RECOVERY, RESEMBLANCE, Goal, Likeness
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import SIDES_PX
from personal_avatar.training.planning.usual import FAR

GOOD_SHARE = 0.8  # of the way from the untrained checkpoint to real photos
LOW_CEILING = 0.4  # SFace takes two faces for one person from about 0.36 on
NARROW = 0.1  # between untrained and best possible
LOST_CEILING = 0.1  # below it photos show hardly a face that is recognised once they went through the VAE
SMALL = 0.75  # of the side that a checkpoint was made for
OVERSHOT_MERIT = 0.05
FEW_FACES = 0.75
FAR_BELOW = 0.1  # of likeness: too weak a training leaves pictures nearly as they were, and takes less away
LARGEST = 1e300
TOLD_DIGITS = 2  # of scores in sentences; shares as per cent have as many


@dataclass(frozen=True)
class MeasuredStep:
    """A saved checkpoint as the result document has it, `likeness` of what has no face its resemblance; what is
    missing or null there is 0, faces 1. `judged`: whether it has a merit; without one its numbers say nothing."""

    step: float
    likeness: float
    faces_found: float
    following: float
    merit: float
    leakage: float
    judged: bool


@dataclass(frozen=True)
class Numbers:
    """The result document of a training, read without trust in its being complete."""

    document: Mapping[str, Any]

    def at(self, *path: str) -> float | None:
        """The finite number at the end of `path`, None where there is none."""
        found: Any = self.document
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return finite(found)

    def plan(self, name: str) -> Any:
        """A setting as it was used; None when it is not told."""
        plan = self.document.get("plan")
        return plan.get(name) if isinstance(plan, Mapping) else None

    @property
    def kind(self) -> str:
        """What was measured: likeness to a person, or resemblance to a style or to what has no face."""
        is_style = self.plan("goal") == Goal.STYLE.value
        return RESEMBLANCE if is_style or any(RESEMBLANCE in row for row in self._rows) else LIKENESS

    @property
    def _rows(self) -> list[Mapping[str, Any]]:
        """Of the saved checkpoints."""
        rows = self.document.get("scores")
        return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []

    @property
    def is_measured(self) -> bool:
        """Whether the best checkpoint was measured on fresh seeds."""
        return self.at(self.kind, "after") is not None

    @property
    def saved(self) -> list[MeasuredStep]:
        """In the order of their steps."""
        return sorted((_measured(row, self.kind) for row in self._rows), key=lambda point: point.step)

    @property
    def lacked_room(self) -> bool:
        """The graphics card had none for measuring the best checkpoint."""
        return self.document.get("lacked_room") is True

    @property
    def points(self) -> list[MeasuredStep]:
        """Those that were judged, between which there was a choice."""
        return [point for point in self.saved if point.judged]

    @property
    def best(self) -> MeasuredStep | None:
        """The one that was published; where that is not told, the one with the highest merit."""
        published = self.at("checkpoint", "step")
        told = [point for point in self.saved if point.step == published]
        return max(told or self.points, key=lambda point: point.merit, default=None)

    @property
    def recovered_in_choice(self) -> float | None:
        """Share of the way that the best one went, on the seeds of the choice; None where that or an end is unknown."""
        best, floor, ceiling = self.best, self.at("untrained", "likeness"), self.at("ceiling")
        if best is None or not best.judged or floor is None or ceiling is None:
            return None
        return Likeness(floor, best.likeness, ceiling).recovered

    @property
    def has_risen(self) -> bool:
        """Whether the likeness rose, on the seeds of the choice and on fresh ones, as far as they are known."""
        shares = (self.recovered_in_choice, self.at("likeness", "recovered"))
        return all(share is None or share >= NO_RECOVERY for share in shares)

    @property
    def is_low(self) -> bool:
        recovered = self.at("likeness", "recovered")
        return recovered is not None and recovered < GOOD_SHARE

    @property
    def photos(self) -> float:
        """How many were used; many when that is not told."""
        found = self.at("photos")
        return math.inf if found is None else found

    @property
    def lacks_photos(self) -> bool:
        return self.photos < PhotoSettings().wanted_photos

    @property
    def has_low_ceiling(self) -> bool:
        floor, ceiling = self.at("likeness", "floor"), self.at("likeness", "ceiling")
        return floor is not None and ceiling is not None and (ceiling < LOW_CEILING or ceiling - floor < NARROW)

    @property
    def side_px(self) -> float:
        """Of training pictures; 0 when that is not told."""
        return finite(self.plan("resolution_px")) or 0.0

    @property
    def native_px(self) -> int:
        """The side that the checkpoint was made for, as `resolution_px` takes it; 0 when that is not told."""
        return int(self.at("native_px") or 0.0) // SIDES_PX * SIDES_PX

    @property
    def is_small(self) -> bool:
        """Whether pictures were far smaller than the checkpoint was made for, which it draws badly, faces first."""
        return 0 < self.side_px < SMALL * self.native_px

    @property
    def was_stopped(self) -> bool:
        """By `stop_at`, before the steps were done."""
        saved = self.saved
        return bool(finite(self.plan("stop_at"))) and bool(saved) and saved[-1].step < self.steps

    @property
    def overshot(self) -> bool:
        """The best checkpoint lies in the first half, and the last that was judged is clearly worse: something was
        learned that was lost again, or pictures were damaged."""
        best, points = self.best, self.points
        if best is None or not points:
            return False
        fell = best.step <= points[-1].step / 2 and best.merit - points[-1].merit > OVERSHOT_MERIT
        return fell and (self.has_risen or self.has_lost_faces or self.ended_far_below)

    @property
    def ended_far_below(self) -> bool:
        """The last checkpoint that was judged, below the untrained one."""
        floor, points = self.at("untrained", "likeness"), self.points
        return floor is not None and bool(points) and floor - points[-1].likeness >= FAR_BELOW

    @property
    def has_lost_faces(self) -> bool:
        """Few pictures of the best checkpoint show a face, and those before the training did."""
        best, before = self.best, self.at("untrained", "faces_found")
        return best is not None and best.faces_found < FEW_FACES and (before is None or before >= FEW_FACES)

    @property
    def is_too_fast(self) -> bool:
        """Whether the learning rate is many times the one that suits the method."""
        rate, usual = finite(self.plan("learning_rate")), self.at("usual_learning_rate")
        return bool(rate and usual) and (rate or 0.0) > FAR * (usual or 0.0)

    @property
    def is_too_slow(self) -> bool:
        """Whether the learning rate is a small part of that one. Of an optimiser that finds its own it is a factor."""
        rate, usual = finite(self.plan("learning_rate")), self.at("usual_learning_rate")
        if rate is None or usual is None or self._finds_its_rate:
            return False
        return rate < usual / FAR

    @property
    def _finds_its_rate(self) -> bool:
        known = OPTIMISERS.get(str(self.plan("optimiser")))
        return known is not None and known.one_rate

    @property
    def slower(self) -> tuple[str, float]:
        """How to learn less fast: a setting and its value."""
        rate, usual = finite(self.plan("learning_rate")), self.at("usual_learning_rate")
        if self.is_too_fast and usual:
            return "learning_rate", usual
        if rate is None or self._finds_its_rate:
            return "steps", rounded(0.6 * self.steps)
        return "learning_rate", rate / 2

    @property
    def steps(self) -> float:
        """That were planned; those of the last checkpoint when that is not told."""
        planned = finite(self.plan("steps")) or 0.0
        return planned or max((point.step for point in self.saved), default=0.0)


def _measured(row: Mapping[str, Any], kind: str) -> MeasuredStep:
    found = {name: finite(row.get(name)) or 0.0 for name in ("step", "following", "merit", "leakage")}
    faces, measured = finite(row.get("faces_found")), finite(row.get(kind))
    judged = finite(row.get("merit")) is not None
    return MeasuredStep(likeness=measured or 0.0, faces_found=1.0 if faces is None else faces, judged=judged, **found)


def finite(value: Any) -> float | None:
    """`value` as a number; None for anything else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < LARGEST else None


def without_minus(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of a sentence: 0 for what it would round to the zero that is written with a minus."""
    return {name: 0.0 if _is_nothing(value) else value for name, value in values.items()}


def _is_nothing(value: Any) -> bool:
    return isinstance(value, float) and value <= 0 and round(value, TOLD_DIGITS) == 0


def rounded(steps: float) -> int:
    """Up to a round number."""
    unit = 50 if steps >= 100 else 1
    return max(1, math.ceil(steps / unit) * unit)
