"""One face: restored, pasted, looked at; and the freest restoration that still passes."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.params import Settings, setting
from personal_avatar.restoration.paste import Box, box_around, face_mask, match_colours, pasted
from personal_avatar.wording import text

# A crop (uint8 RGB), the face in it in pixels of the crop, and a fidelity 0 (free) .. 1 (faithful) -> the crop with a
# better face. An answer of another size is scaled back; one that is no picture is refused.
Restorer = Callable[[np.ndarray, Face, float], np.ndarray]
UNCHANGED = 0.5  # grey levels: a mean change under the mask below this is none


class RestoreSettings(Settings):
    """Limits of a restoration. `fidelity`: the freest that is tried; `max_drop`: of likeness, a cosine."""

    max_drop: float = setting(0.0, "restore.max_drop", ge=0.0, le=0.2, step=0.005)
    fidelity: float = setting(0.0, "restore.fidelity", ge=0.0, le=1.0, step=0.05)
    min_sharpness: float = setting(0.9, "restore.min_sharpness", ge=0.0, le=2.0, step=0.05, advanced=True)
    trials: int = setting(5, "restore.trials", ge=2, le=12, step=1, advanced=True)
    crop_scale: float = setting(2.0, "restore.crop_scale", ge=1.2, le=4.0, step=0.1, advanced=True)
    feather: float = setting(0.3, "restore.feather", ge=0.05, le=1.0, step=0.05, advanced=True)


@dataclass(frozen=True)
class Seen:
    """A restored face as it was measured. `likeness`: cosines, one for each recogniser that tells; `problem`: why it is
    refused, empty when it is fine."""

    likeness: tuple[float, ...]
    problem: str = ""


Watch = Callable[[np.ndarray], Seen]


@dataclass(frozen=True)
class Attempt:
    """One restoration that was measured; `image` is the whole picture."""

    image: np.ndarray
    fidelity: float
    seen: Seen

    @property
    def problem(self) -> str:
        return self.seen.problem


@dataclass(frozen=True)
class Trial:
    """Restores, pastes and measures one face at a given fidelity. `others`: faces whose pixels stay as they are."""

    image: np.ndarray
    face: Face
    restorer: Restorer
    settings: RestoreSettings
    watch: Watch
    others: Sequence[Face] = ()

    def __call__(self, fidelity: float) -> Attempt:
        box = box_around(self.face, (self.image.shape[1], self.image.shape[0]), self.settings.crop_scale)
        crop, mask = box.of(self.image), face_mask(self.face, box, self.settings.feather, self.others)
        answer = picture_like(self.restorer(crop.copy(), within(self.face, box), fidelity), crop)
        if answer is None:
            return Attempt(self.image, fidelity, Seen((), text("unrestored.no_picture")))
        result = pasted(self.image, match_colours(answer, crop, mask), box, mask)
        if _change(crop, box.of(result), mask) < UNCHANGED:
            return Attempt(self.image, fidelity, Seen((), text("unrestored.nothing")))
        return Attempt(result, fidelity, self.watch(result))


def strongest(trial: Callable[[float], Attempt], freest: float, trials: int) -> Attempt:
    """The fine attempt of the lowest fidelity from `freest` on that bisection finds; when there is none, the last one
    that was refused.

    Freest first, because often that is fine already; then the most faithful; then halves between bad and fine.
    """
    fine_or_nothing = ("", text("unrestored.nothing"))
    refused = trial(freest)
    if refused.problem in fine_or_nothing or freest >= 1.0:
        return refused
    best = trial(1.0)
    if best.problem not in fine_or_nothing:
        return best
    for _ in range(trials - 2):
        middle = trial((refused.fidelity + best.fidelity) / 2)
        if middle.problem in fine_or_nothing:
            best = middle
        else:
            refused = middle
    return refused if best.problem else best


def within(face: Face, box: Box) -> Face:
    """`face` in pixels of the crop that `box` cuts out."""
    left, top, right, bottom = face.box_px
    points = tuple((x - box.left, y - box.top) for x, y in face.landmarks_px)
    sides = (left - box.left, top - box.top, right - box.left, bottom - box.top)
    return replace(face, box_px=sides, landmarks_px=points)


def picture_like(answer: Any, crop: np.ndarray) -> np.ndarray | None:
    """What a restorer answered as uint8 RGB of the size of `crop`; None when it is no picture."""
    if not isinstance(answer, np.ndarray) or answer.ndim != 3 or answer.shape[2] != 3 or not answer.size:
        return None
    if answer.dtype != np.uint8:
        if not np.issubdtype(answer.dtype, np.number) or np.iscomplexobj(answer) or not np.isfinite(answer).all():
            return None
        answer = np.rint(answer).clip(0, 255).astype(np.uint8)
    if answer.shape == crop.shape:
        return answer
    from PIL import Image

    size = (crop.shape[1], crop.shape[0])
    return np.asarray(Image.fromarray(answer).resize(size, Image.Resampling.LANCZOS))


def _change(old: np.ndarray, new: np.ndarray, mask: np.ndarray) -> float:
    """Mean absolute difference under the mask, in grey levels."""
    difference = np.abs(new.astype(np.float32) - old.astype(np.float32)).mean(axis=2)
    return float((difference * mask).sum() / max(float(mask.sum()), 1e-6))
