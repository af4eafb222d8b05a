"""Find photos that show the same picture again: the same file, saved again, resized, or shot a moment later."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

THUMBNAIL_PX = 16
# Root mean square difference of the thumbnails, of 255; see `same_picture`.
SAME_BELOW = 4.0
BURST_BELOW = 12.0
BURST_SIMILARITY = 0.95


@dataclass(frozen=True)
class Fingerprint:
    """`thumbnail`: float (16, 16, 3), 0..255; `embedding`: float (d,), L2 norm 1, or None without a face."""

    sha256: str
    pixels: int
    thumbnail: np.ndarray
    embedding: np.ndarray | None = None


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Of uint8 RGB (height, width, 3): float (16, 16, 3)."""
    size = (THUMBNAIL_PX, THUMBNAIL_PX)
    picture = Image.fromarray(image).resize(size, Image.Resampling.HAMMING)
    return np.asarray(picture).astype(float)


def same_picture(one: Fingerprint, other: Fingerprint) -> bool:
    """Equal bytes; or thumbnails that differ by no more than saving and resizing does; or by little, the face too.

    Measured: saved again as JPEG of quality 30 or at a third of the size: below 2; cropped by 2 %, as between two
    shots of a burst: 9-14; 10 % brighter: 8-15; drawings of one character in other poses: above 15.
    """
    if one.sha256 == other.sha256:
        return True
    difference = float(np.sqrt(np.mean((one.thumbnail - other.thumbnail) ** 2)))
    return difference < SAME_BELOW or (difference < BURST_BELOW and _similarity(one, other) > BURST_SIMILARITY)


def _similarity(one: Fingerprint, other: Fingerprint) -> float:
    if one.embedding is None or other.embedding is None:
        return 0.0
    return float(one.embedding @ other.embedding)


def repeats(fingerprints: Sequence[Fingerprint]) -> dict[int, int]:
    """Which are repeats of which: {index of the repeat: index of the one to keep}.

    Kept is the one with most pixels, of equals the first.
    """
    kept: list[int] = []
    found: dict[int, int] = {}
    for index in sorted(range(len(fingerprints)), key=lambda index: (-fingerprints[index].pixels, index)):
        twin = next((other for other in kept if same_picture(fingerprints[index], fingerprints[other])), None)
        if twin is None:
            kept.append(index)
        else:
            found[index] = twin
    return found
