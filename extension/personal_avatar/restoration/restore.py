"""Restore the person's face as strongly as possible without making it less like the person.

Restorers repaint a face after their idea of faces. So every attempt is measured: it counts only when the picture looks
no less like the person than before, and when none does, the original stays.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.params import Settings, setting
from personal_avatar.restoration.paste import box_around, face_mask, match_colours, pasted

Restorer = Callable[[np.ndarray, float], np.ndarray]
NOTHING = "the restorer changed nothing"
FINE_OR_NOTHING = ("", NOTHING)
UNCHANGED = 0.5  # grey levels: a mean change under the mask below this is none


class RestoreSettings(Settings):
    """Limits of a restoration."""

    max_drop: float = setting(0.0, "restore.max_drop", ge=0.0, le=0.2, step=0.005)
    min_sharpness: float = setting(0.9, "restore.min_sharpness", ge=0.0, le=2.0, step=0.05, advanced=True)
    trials: int = setting(5, "restore.trials", ge=2, le=12, step=1, advanced=True)
    crop_scale: float = setting(2.0, "restore.crop_scale", ge=1.2, le=4.0, step=0.1, advanced=True)
    feather: float = setting(0.3, "restore.feather", ge=0.05, le=1.0, step=0.05, advanced=True)


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


@dataclass(frozen=True)
class Attempt:
    """One restoration that was measured. `problem`: why it is refused, empty when it is fine."""

    image: np.ndarray
    fidelity: float
    likeness: float | None
    problem: str


def restore_best(image: np.ndarray, scorer: Measurer, restorer: Restorer, settings: RestoreSettings) -> Restored:
    """Restore the face most like the person in a uint8 RGB (height, width, 3) picture.

    `restorer` takes a uint8 RGB crop and a fidelity and answers a crop of the same size (another size is scaled back).
    What it raises passes through.
    """
    before = scorer.score(image)
    if before.face is None or before.likeness is None:
        return Restored(image, 1.0, None, None, False, "there is no face in it")
    trial = _Trial(image, scorer, restorer, settings, before, before.face)
    best = _strongest(trial, settings.trials)
    if best.problem:
        return Restored(image, 1.0, before.likeness, before.likeness, False, best.problem)
    return Restored(best.image, best.fidelity, before.likeness, best.likeness, True)


def _strongest(trial: Callable[[float], Attempt], trials: int) -> Attempt:
    """The fine attempt of the lowest fidelity that bisection finds; when there is none, the last one that was refused.

    Freest first, because often that is fine already; then the most faithful; then halves between bad and fine.
    """
    refused = trial(0.0)
    if refused.problem in FINE_OR_NOTHING:
        return refused
    best = trial(1.0)
    if best.problem not in FINE_OR_NOTHING:
        return best
    for _ in range(trials - 2):
        middle = trial((refused.fidelity + best.fidelity) / 2)
        if middle.problem in FINE_OR_NOTHING:
            best = middle
        else:
            refused = middle
    return refused if best.problem else best


@dataclass(frozen=True)
class _Trial:
    """Restores, pastes and measures at a given fidelity."""

    image: np.ndarray
    scorer: Measurer
    restorer: Restorer
    settings: RestoreSettings
    before: Measure
    face: Face

    def __call__(self, fidelity: float) -> Attempt:
        box = box_around(self.face, (self.image.shape[1], self.image.shape[0]), self.settings.crop_scale)
        mask = face_mask(self.face, box, self.settings.feather)
        crop = box.of(self.image)
        patch = match_colours(_of_size(self.restorer(crop.copy(), fidelity), crop), crop, mask)
        result = pasted(self.image, patch, box, mask)
        if _change(crop, box.of(result), mask) < UNCHANGED:
            return Attempt(result, fidelity, self.before.likeness, NOTHING)
        after = self.scorer.score(result)
        return Attempt(result, fidelity, after.likeness, self._problem(after))

    def _problem(self, after: Measure) -> str:
        """Why a measured result is refused; empty when it is fine."""
        if after.likeness is None or self.before.likeness is None:
            return "the face was no longer found"
        if after.likeness < self.before.likeness - self.settings.max_drop:
            return f"the likeness would fall from {self.before.likeness:.3f} to {after.likeness:.3f}"
        if after.faces > self.before.faces:
            return "another face appeared"
        sharp, sharp_before = after.scores.get("sharpness", 0.0), self.before.scores.get("sharpness", 0.0)
        if sharp < sharp_before * self.settings.min_sharpness:
            return f"the face would be less sharp ({sharp:.2f} instead of {sharp_before:.2f})"
        return ""


def _change(old: np.ndarray, new: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference under the mask, in grey levels."""
    difference = np.abs(new.astype(np.float32) - old.astype(np.float32)).mean(axis=2)
    return float((difference * mask).sum() / max(float(mask.sum()), 1e-6))


def _of_size(patch: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """uint8 RGB of the size of `crop`."""
    if patch.shape == crop.shape:
        return patch
    from PIL import Image

    size = (crop.shape[1], crop.shape[0])
    return np.asarray(Image.fromarray(patch).convert("RGB").resize(size, Image.Resampling.LANCZOS))
