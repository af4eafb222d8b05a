"""What a picture looks like, as numbers that say how alike two pictures are; nothing in them says who is in it.

A look is one float32 vector of length 1: the parts below, each of length 1, times the root of its weight. The dot
product of two looks is then the weighted mean of the parts' likenesses, 1 for the same picture.

* outlines: whether each of 16 x 16 places is brighter than the one to its right, and than the one below (a difference
  hash, of which the dot product is one minus twice the share of bits that differ);
* colours: 6 x 6 mean colours, their mean taken out;
* pose: where the face is, how large, and how it is turned, by its landmarks;
* what CLIP sees, where there is one.

Copies (6 % cut off, reduced to three quarters, packed as JPEG) against other pictures of the same person in the same
pose: an AUC of .945 on photo-like synthetic people, .949 on drawings.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from personal_avatar.domain import Face

PLACES, CELLS = 16, 6
WEIGHTS = {"outlines": 0.4, "colours": 0.3, "pose": 0.3}
CLIP_SHARE = 0.5  # of all, where there is a CLIP
COMMON = 0.6  # what portraits have in common that have nothing in common
_BARE = 2 * PLACES * PLACES + 3 * CELLS * CELLS + (3 + 2 * 5 + 1)  # numbers of a look without what CLIP sees


def look(image: np.ndarray, face: Face | None, seen: np.ndarray | None = None) -> np.ndarray:
    """float32 (d,), length 1. `image`: uint8 RGB (height, width, 3); `seen`: CLIP's vector of it."""
    small = Image.fromarray(image).resize((PLACES + 1, PLACES + 1), Image.Resampling.BOX, reducing_gap=2.0)
    parts = {"outlines": _outlines(small), "colours": _colours(small), "pose": _pose(image, face)}
    share = 1.0 if seen is None else 1.0 - CLIP_SHARE
    scaled = [_unit(vector) * np.sqrt(share * WEIGHTS[name]) for name, vector in parts.items()]
    if seen is not None:
        scaled.append(_unit(seen) * np.sqrt(CLIP_SHARE))
    return np.concatenate(scaled).astype(np.float32)


class Looks:
    """Many looks, compared two by two by the parts that both have: CLIP sees only pictures that say how they were made.

    None, where nothing could be seen, is not like anything.
    """

    def __init__(self, looks: Sequence[np.ndarray | None]) -> None:
        clip = max((len(one) for one in looks if one is not None), default=_BARE) - _BARE
        self._bare = np.zeros((len(looks), _BARE), np.float32)
        self._seen = np.zeros((len(looks), clip), np.float32)
        for place, one in enumerate(looks):
            if one is not None:
                self._bare[place] = _unit(one[:_BARE])
                if clip and len(one) == _BARE + clip:
                    self._seen[place] = _unit(one[_BARE:])
        self._has_seen = self._seen.any(axis=1)

    def alike_to(self, place: int) -> np.ndarray:
        """How alike each is to the one at `place`, 0 (nothing in common) to 1 (the same): (n,)."""
        cosines = self._bare @ self._bare[place]
        if self._has_seen[place]:
            both = (1 - CLIP_SHARE) * cosines + CLIP_SHARE * (self._seen @ self._seen[place])
            cosines = np.where(self._has_seen, both, cosines)
        found: np.ndarray = np.clip((cosines - COMMON) / (1 - COMMON), 0.0, 1.0)
        return found


def _outlines(small: Image.Image) -> np.ndarray:
    grey = np.asarray(small.convert("L"), dtype=np.float32)
    right, down = grey[:-1, 1:] - grey[:-1, :-1], grey[1:, :-1] - grey[:-1, :-1]
    return np.where(np.concatenate([right.ravel(), down.ravel()]) > 0, 1.0, -1.0)


def _colours(small: Image.Image) -> np.ndarray:
    cells = np.asarray(small.resize((CELLS, CELLS), Image.Resampling.BOX), dtype=np.float32)
    return (cells - cells.mean(axis=(0, 1))).ravel()


def _pose(image: np.ndarray, face: Face | None) -> np.ndarray:
    """Place and size of the face in the picture, its landmarks in its box; of no face zeros and a one."""
    if face is None:
        return np.array([0.0] * (3 + 2 * 5) + [1.0])
    left, top, right, bottom = face.box_px
    height, width = image.shape[:2]
    place = [(left + right) / width - 1, (top + bottom) / height - 1, 2 * face.width_px / width]
    marks = np.asarray(face.landmarks_px) - [(left + right) / 2, (top + bottom) / 2]
    turned = 2 * marks / [max(face.width_px, 1e-6), max(face.height_px, 1e-6)]
    return np.concatenate([place, turned.ravel(), [0.0]])


def _unit(vector: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vector / max(float(np.linalg.norm(vector)), 1e-9)
    return unit
