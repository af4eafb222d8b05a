"""Technical quality without a model: what went wrong in the making of a picture, each flaw on a scale of its own.

All parts are 0 (spoilt) to 1 (nothing to see), measured where the face is, at the picture's own resolution:

* `clear`: not blurred; from the sharpness of the face.
* `quiet`: no noise; Immerkaer's estimate (Fast noise variance estimation, 1996) in the flattest quarter of the blocks.
* `unburnt`: few values at the very ends, as too much guidance leaves them.
* `graded`: grey levels are all in use; banded and posterised pictures have gaps.
* `unblocked`: no steps at the borders of JPEG's blocks of eight pixels.
* `close`: the face is large enough to be looked at.
* `alone`: as many faces as there should be.

`quality` is their product. Where each ramp begins and ends was measured on photos, photo-like synthetic people and
drawings, clean and spoilt on purpose; ranking.overall says how well the whole tells them apart.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
from PIL import Image

from personal_avatar.domain import Face
from personal_avatar.ranking.quality import inside, sharpness

PATCH_PX = 256
BLOCK_PX = 8  # of JPEG
FLAT_PX = 16
FEW_PX = 32  # a side below which the borders of blocks are too few to tell
_NORMAL = float(np.sqrt(np.pi / 2) / 6)  # mean absolute response of Immerkaer's mask to noise of deviation 1

@dataclass(frozen=True, eq=False)
class Patch:
    """A part of a picture: uint8 RGB `pixels` (height, width, 3), the same as float32 `grey` levels, and where its
    corner lies in the picture (left, top)."""

    pixels: np.ndarray
    grey: np.ndarray
    corner: tuple[int, int] = (0, 0)


Measure = Callable[[Patch], float]


def technical(
    image: np.ndarray, face: Face | None, faces: int, people: int = 1, sharp: float | None = None
) -> dict[str, float]:
    """The parts and `quality`, rounded. `image`: uint8 RGB (height, width, 3); `people`: who should be in it; `sharp`:
    the sharpness of the face, when it is known already."""
    parts = {"alone": _alone(faces, people)}
    if face is not None:
        patch = patch_of(image, inside(face.box_px, image.shape[1], image.shape[0]))
        parts |= {"close": _ramp(face.width_px / image.shape[1], *RAMPS["close"])}
        parts |= {"clear": _ramp(sharpness(image, face) if sharp is None else sharp, *RAMPS["clear"])}
        parts |= {name: _ramp(measure(patch), *RAMPS[name]) for name, measure in MEASURES.items()}
    parts["quality"] = prod(parts.values()) if face is not None else 0.0
    return {name: round(value, 4) for name, value in parts.items()}


def noise(patch: Patch) -> float:
    """Standard deviation of the noise in grey levels, of the flattest quarter of blocks of 16 pixels."""
    grey = patch.grey
    if min(grey.shape) < FLAT_PX + 2:
        return 0.0
    second = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    response = np.abs(second[:-2] - 2 * second[1:-1] + second[2:])
    rows, columns = (length // FLAT_PX for length in response.shape)
    parts = response[: rows * FLAT_PX, : columns * FLAT_PX].reshape(rows, FLAT_PX, columns, FLAT_PX)
    return float(np.percentile(parts.mean(axis=(1, 3)), 25)) * _NORMAL


def burnt(patch: Patch) -> float:
    """Share of pixels with a channel at the end of its range; of every fourth one."""
    some = patch.pixels[::2, ::2]
    return float(((some == 0) | (some == 255)).any(axis=2).mean())


def gaps(patch: Patch) -> float:
    """Share of the levels of green, from the darkest to the brightest twentieth, that no pixel has, beyond those that
    would be empty if the pixels fell on all of them by chance."""
    counts = np.bincount(patch.pixels[..., 1].ravel(), minlength=256)
    low, high = np.searchsorted(np.cumsum(counts) / counts.sum(), [0.05, 0.95])
    used = counts[low : high + 1] > 0
    return max(0.0, float(1 - used.mean() - np.exp(-counts.sum() / len(used))))


def blocks(patch: Patch) -> float:
    """How much larger steps between neighbours are at multiples of eight pixels than elsewhere, 0: not at all."""
    grey = patch.grey
    if min(grey.shape) < FEW_PX:
        return 0.0
    steps = [np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis) for axis in (0, 1)]
    found = [_at_borders(one, patch.corner[1 - axis]) for axis, one in enumerate(steps)]
    return max(0.0, min(found) - 1.0)


def _at_borders(steps: np.ndarray, start: int) -> float:
    """Mean step at the borders of blocks over the mean beside them. `steps`: between pixel start + i and the next."""
    places = (np.arange(len(steps)) + start + 1) % BLOCK_PX
    at, beside = steps[places == 0], steps[(places == 2) | (places == 6)]
    return float((at.mean() + 0.1) / (beside.mean() + 0.1)) if len(at) and len(beside) else 1.0


def patch_of(image: np.ndarray, box: tuple[int, int, int, int]) -> Patch:
    """A box of a uint8 RGB picture, at most PATCH_PX a side from its middle."""
    left, top, right, bottom = box
    left, top = left + max(0, right - left - PATCH_PX) // 2, top + max(0, bottom - top - PATCH_PX) // 2
    pixels = image[top : min(bottom, top + PATCH_PX), left : min(right, left + PATCH_PX)]
    return Patch(pixels, np.asarray(Image.fromarray(pixels).convert("L"), dtype=np.float32), (left, top))


def _alone(faces: int, people: int) -> float:
    """1 for as many faces as wanted; each one too many or too few takes its share."""
    return min(faces, people) / max(faces, people, 1)


def _ramp(value: float, good: float, bad: float) -> float:
    """1 up to `good`, 0 from `bad` on, straight between; the other way round when `good` is the larger."""
    return float(np.clip((value - bad) / (good - bad), 0.0, 1.0))


MEASURES: dict[str, Measure] = {"quiet": noise, "unburnt": burnt, "graded": gaps, "unblocked": blocks}
# (nothing to see, spoilt): between them lie clean pictures (the worst tenth of 62 photos, synthetic people, drawings)
# and those spoilt by a blur of 1/128 of the picture, noise of 25 levels, three times the contrast, 8 levels, JPEG at 8.
RAMPS: dict[str, tuple[float, float]] = {
    "clear": (0.32, 0.1), "quiet": (4.0, 15.0), "unburnt": (0.05, 0.5), "graded": (0.15, 0.9), "unblocked": (0.35, 1.5),
    "close": (0.15, 0.03),
}
