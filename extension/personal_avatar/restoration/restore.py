"""Restore the one face that looks most like a person, as strongly as possible without making it less like the person.

Restorers repaint a face after their idea of faces. So every attempt is measured: it counts only when the picture looks
no less like the person than before, and when none does, the original stays. For everybody in a picture: `everybody`.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.restoration.trial import NOTHING, RestoreSettings, Seen, Trial, strongest

__all__ = ["NOTHING", "RestoreSettings", "Restored", "restore_best"]


class Measure(Protocol):
    """What is read of a score; ranking.likeness.Scored has it."""

    @property
    def likeness(self) -> float | None: ...

    @property
    def faces(self) -> int: ...

    @property
    def scores(self) -> dict[str, float]: ...

    @property
    def face(self) -> Face | None: ...


class Measurer(Protocol):
    """ranking.likeness.Scorer is one."""

    def score(self, image: np.ndarray) -> Measure: ...


@dataclass(frozen=True)
class Restored:
    """`image`: the original, byte for byte, unless `accepted`. `fidelity` in 0 (free) .. 1. No `reason` if accepted."""

    image: np.ndarray
    fidelity: float
    likeness_before: float | None
    likeness_after: float | None
    accepted: bool
    reason: str = ""


def restore_best(
    image: np.ndarray, scorer: Measurer, restorer: Callable[[np.ndarray, float], np.ndarray], settings: RestoreSettings
) -> Restored:
    """Restore the face most like the person in a uint8 RGB (height, width, 3) picture.

    `restorer` takes a uint8 RGB crop and a fidelity and answers a crop of the same size (another size is scaled back).
    What it raises passes through.
    """
    before = scorer.score(image)
    if before.face is None or before.likeness is None:
        return Restored(image, 1.0, None, None, False, "there is no face in it")
    watch = _Watch(scorer, before, before.likeness, settings)
    trial = Trial(image, before.face, lambda crop, face, fidelity: restorer(crop, fidelity), settings, watch)
    best = strongest(trial, settings.fidelity, settings.trials)
    if best.problem:
        return Restored(image, 1.0, before.likeness, before.likeness, False, best.problem)
    return Restored(best.image, best.fidelity, before.likeness, best.seen.likeness[0], True)


@dataclass(frozen=True)
class _Watch:
    """Compares a picture with how it was before."""

    scorer: Measurer
    before: Measure
    likeness: float
    settings: RestoreSettings

    def __call__(self, image: np.ndarray) -> Seen:
        after = self.scorer.score(image)
        if after.likeness is None:
            return Seen((), "the face was no longer found")
        return Seen((after.likeness,), self._problem(after, after.likeness))

    def _problem(self, after: Measure, likeness: float) -> str:
        """Why a measured result is refused; empty when it is fine."""
        if likeness < self.likeness - self.settings.max_drop:
            return f"the likeness would fall from {self.likeness:.3f} to {likeness:.3f}"
        if after.faces > self.before.faces:
            return "another face appeared"
        sharp, sharp_before = after.scores.get("sharpness", 0.0), self.before.scores.get("sharpness", 0.0)
        if sharp < sharp_before * self.settings.min_sharpness:
            return f"the face would be less sharp ({sharp:.2f} instead of {sharp_before:.2f})"
        return ""
