"""Whether a picture is a photo or drawn, told from its colours alone: drawings have areas in which nothing changes.

Reduced to 256 pixels, a photo has skin, hair and cloth whose neighbouring pixels differ; between the lines of a drawing
they are the same or nearly so. Ground in the colour of the edge is left out: a studio's wall is as plain as paper.

Measured with DRAWN_FROM (share of plain places: drawings .47-.97, photos .00-.39; see tests/unit/faces for the rest):

| pictures                                                           | wrong          |
|--------------------------------------------------------------------|----------------|
| drawings of tools/avatar_tiny in three styles, the shipped samples | 0 of 105       |
| older drawings with grain                                          | 21 of 144      |
| comic and anime art of websites, parts of Live2D figures           | 3 of 13        |
| real photos of people, animals, things (six packages)              | 1 of 133       |
| photo-like people of a generator                                   | 0 of 80        |
| these 213 with a white wall around / softened by a median          | 9 / 3 of 213   |
| all drawings as JPEG of quality 40                                 | 47 of 262      |

Paintings with brush strokes and detailed illustrations count as photos; who knows better says so (`look` in
photos.settings).
"""
from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image

from personal_avatar.domain import Look

SIDE_PX = 256
# Neighbours that differ by no more than this in any channel (0..255) are alike.
ALIKE = 2.0
DRAWN_FROM = 0.42
# The ground: colours that take at least this share of the edge, and what differs from them by no more than this.
EDGE_SHARE = 0.08
GROUND_COLOURS = 4
GROUND_WITHIN = 12.0
# With less than this left beside the ground, the whole picture counts.
LEAST_LEFT = 0.1


def look_of(image: np.ndarray) -> Look:
    """`image`: uint8 RGB (height, width, 3) of any size."""
    return Look.DRAWN if plainness(image) >= DRAWN_FROM else Look.PHOTO


def majority(looks: Iterable[Look]) -> Look:
    """What most of the pictures of a set are; a photo when it is a draw."""
    found = list(looks)
    return Look.DRAWN if 2 * found.count(Look.DRAWN) > len(found) else Look.PHOTO


def plainness(image: np.ndarray) -> float:
    """Share 0..1 of the places beside the ground at which nothing changes."""
    small = _reduced(image)
    change = _change(small)
    subject = ~_ground(small)[:-1, :-1]
    if subject.sum() < max(1, LEAST_LEFT * subject.size):
        subject[:] = True
    return float((change[subject] <= ALIKE).mean()) if change.size else 0.0


def _reduced(image: np.ndarray) -> np.ndarray:
    """float32 (height, width, 3), the longer side at most `SIDE_PX`, each pixel the mean of what it stands for."""
    height, width = image.shape[:2]
    factor = SIDE_PX / max(height, width)
    if factor >= 1:
        return image.astype(np.float32)
    size = (max(2, round(width * factor)), max(2, round(height * factor)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX), dtype=np.float32)


def _change(small: np.ndarray) -> np.ndarray:
    """(height - 1, width - 1): the largest difference to the pixel on the right or below, in any channel."""
    right = np.abs(np.diff(small, axis=1)).max(axis=2)[:-1]
    below = np.abs(np.diff(small, axis=0)).max(axis=2)[:, :-1]
    change: np.ndarray = np.maximum(right, below)
    return change


def _ground(small: np.ndarray) -> np.ndarray:
    """bool (height, width): what has one of the colours that are common along the edge."""
    edge = np.concatenate([small[0], small[-1], small[:, 0], small[:, -1]])
    codes = (edge // 16).astype(int) @ [256, 16, 1]
    counts = np.bincount(codes, minlength=4096)
    ground = np.zeros(small.shape[:2], dtype=bool)
    for code in np.argsort(-counts, kind="stable")[:GROUND_COLOURS]:
        if counts[code] >= EDGE_SHARE * len(edge):
            colour = np.median(edge[codes == code], axis=0)
            ground |= np.abs(small - colour).max(axis=2) <= GROUND_WITHIN
    return ground
