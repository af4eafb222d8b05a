"""What is around a face: where the light comes from, and the colours beside and below the head."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from personal_avatar.domain import Face

SMALL_PX = 160  # longer side of the reduced photo that colours are taken from
FACE_PX = 32
# A patch of clothes or ground is only judged when this many of the reduced photo's pixels show it.
FEWEST_PIXELS = 60
BINS = (4, 6, 6)  # lightness, blue and red difference
# Photos of one session share .73 and more of the colours of clothes and ground, different ones .46 (half), .62 (three
# quarters of the pairs).
LEAST_SHARED = 0.6


@dataclass(frozen=True)
class Surroundings:
    """`side`: -1..1, above 0 when the right half of the face (of the picture) is the brighter one; `warmth`: -1..1,
    above 0 for reddish light and skin. `ground`, `clothes`: shares of colours, float (144,), sum 1; None where the
    photo hardly shows any."""

    side: float
    warmth: float
    ground: np.ndarray | None
    clothes: np.ndarray | None


def measure(image: np.ndarray, face: Face) -> Surroundings:
    """Of uint8 RGB (height, width, 3)."""
    side, warmth = _light(image, face)
    picture = Image.fromarray(image)
    picture.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.BOX, reducing_gap=2.0)
    scale = picture.width / image.shape[1]
    colours = np.asarray(picture.convert("YCbCr"))
    ground, clothes = _places(colours.shape, tuple(value * scale for value in face.box_px))
    return Surroundings(side, warmth, _shares(colours[ground]), _shares(colours[clothes]))


def kinds(found: Sequence[np.ndarray | None]) -> int | None:
    """How many different ones there are: each against those already told apart. None when too few were seen."""
    seen = [shares for shares in found if shares is not None]
    if 2 * len(seen) < len(found) or not seen:
        return None
    different: list[np.ndarray] = []
    for shares in seen:
        if all(float(np.minimum(shares, other).sum()) < LEAST_SHARED for other in different):
            different.append(shares)
    return len(different)


def _light(image: np.ndarray, face: Face) -> tuple[float, float]:
    height, width = image.shape[:2]
    left, top = (int(np.clip(value, 0, end - 1)) for value, end in zip(face.box_px[:2], (width, height), strict=True))
    right, bottom = int(np.clip(face.box_px[2], left + 1, width)), int(np.clip(face.box_px[3], top + 1, height))
    part = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    skin = np.asarray(part.resize((FACE_PX, FACE_PX), Image.Resampling.BOX)).astype(float)
    grey, quarter = skin.mean(axis=2), FACE_PX // 4
    one, other = grey[quarter:-quarter, 2 : 2 * quarter].mean(), grey[quarter:-quarter, 2 * quarter : -2].mean()
    middle = skin[quarter:-quarter, quarter:-quarter].mean(axis=(0, 1))
    side = (other - one) / max(other + one, 1.0)
    warmth = (middle[0] - middle[2]) / max(middle[0] + middle[2], 1.0)
    return round(float(side), 3), round(float(warmth), 3)


def _places(shape: tuple[int, ...], box: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Masks (height, width): beside and above the head, out to twice its width; and below the chin."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    left, top, right, bottom = box
    width, height, middle = right - left, bottom - top, (left + right) / 2
    away = np.abs(columns - middle) / max(width, 1e-6)
    ground = (rows < bottom) & (away > 1.0) & (away < 2.5) & (rows > top - height)
    clothes = (rows > bottom + 0.35 * height) & (rows < bottom + 1.6 * height) & (away < 1.0)
    return ground, clothes


def _shares(colours: np.ndarray) -> np.ndarray | None:
    """How the colours, uint8 YCbCr (n, 3), spread over the bins; each pixel counts for the nearest ones as well."""
    if len(colours) < FEWEST_PIXELS:
        return None
    spread = ((0, 256), (64, 192), (64, 192))
    clipped = [np.clip(colours[:, place], *(spread[place][0], spread[place][1] - 1)) for place in range(3)]
    counts, _ = np.histogramdd(np.stack(clipped, axis=1), bins=BINS, range=spread)
    for axis in range(3):
        counts = counts + 0.5 * _shifted(counts, axis, 1) + 0.5 * _shifted(counts, axis, -1)
    flat: np.ndarray = (counts / counts.sum()).ravel()
    return flat


def _shifted(counts: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Moved by one bin, nothing coming in."""
    moved = np.roll(counts, by, axis)
    edge = [slice(None)] * 3
    edge[axis] = slice(0, 1) if by > 0 else slice(-1, None)
    moved[tuple(edge)] = 0
    return moved
