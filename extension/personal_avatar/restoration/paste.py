"""Where a restored face goes back into a picture: a feathered ellipse, with the colours that were there before."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personal_avatar.domain import Face

# In units of the larger of the distances eye to eye and eyes to mouth. On the template that faces are aligned to,
# the ellipse reaches from the middle of the forehead to the chin and from cheek to cheek.
ALONG, ACROSS = 1.6, 1.3
MAX_GAIN = 1.25


@dataclass(frozen=True)
class Box:
    """Whole pixels of a picture: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """The part of `image` in the box; a view."""
        return image[self.top : self.bottom, self.left : self.right]


def box_around(face: Face, size_px: tuple[int, int], scale: float) -> Box:
    """A square of `scale` times the longer side of the face, clipped to the picture of `size_px` (width, height)."""
    half = max(face.width_px, face.height_px) * scale / 2
    x, y = (face.box_px[0] + face.box_px[2]) / 2, (face.box_px[1] + face.box_px[3]) / 2
    width, height = size_px
    left, top = int(np.clip(x - half, 0, width - 1)), int(np.clip(y - half, 0, height - 1))
    return Box(left, top, int(np.clip(x + half, left + 1, width)), int(np.clip(y + half, top + 1, height)))


def face_mask(face: Face, box: Box, feather: float, others: Sequence[Face] = ()) -> np.ndarray:
    """float32 (height, width) of the box: 1 in the face's ellipse, 0 outside, a slope over the outer `feather`.

    What is nearer to the middle of one of `others`, each measured by its own size, belongs to that face: it is 0.
    """
    radius = _radius(face, box)
    rise = np.clip((1.0 - radius) / max(feather, 1e-6), 0.0, 1.0)
    mask = rise * rise * (3 - 2 * rise)
    for other in others:
        mask = np.where(_radius(other, box) < radius, 0.0, mask)
    return np.asarray(mask, dtype=np.float32)


def _radius(face: Face, box: Box) -> np.ndarray:
    """Distance of the box's pixels from the middle of a face, 1 on its ellipse: float64 (height, width)."""
    points = np.asarray(face.landmarks_px, dtype=np.float64)
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    unit = max(float(np.hypot(*(mouth - eyes))), float(np.hypot(*(points[1] - points[0]))), 1e-6)
    down = (mouth - eyes) / max(float(np.hypot(*(mouth - eyes))), 1e-6)
    y, x = np.mgrid[box.top : box.bottom, box.left : box.right] + 0.5
    dx, dy = x - (eyes[0] + mouth[0]) / 2, y - (eyes[1] + mouth[1]) / 2
    along, across = dx * down[0] + dy * down[1], dx * down[1] - dy * down[0]
    return np.asarray(np.hypot(along / (ALONG * unit), across / (ACROSS * unit)))


def match_colours(patch: np.ndarray, original: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`patch` with the mean and spread that `original` has per channel under `mask`; float32 of its shape, 0..255.

    Reinhard et al. (2001), in RGB, with the gain kept within `MAX_GAIN` so that restored detail is not amplified.
    """
    weight = mask[..., None] / max(float(mask.sum()), 1e-6)
    new, old = patch.astype(np.float32), original.astype(np.float32)
    new_mean, old_mean = (new * weight).sum((0, 1)), (old * weight).sum((0, 1))
    new_std = np.sqrt(((new - new_mean) ** 2 * weight).sum((0, 1)))
    old_std = np.sqrt(((old - old_mean) ** 2 * weight).sum((0, 1)))
    gain = np.clip((old_std + 1) / (new_std + 1), 1 / MAX_GAIN, MAX_GAIN)
    return np.clip((new - new_mean) * gain + old_mean, 0, 255)


def pasted(image: np.ndarray, patch: np.ndarray, box: Box, mask: np.ndarray) -> np.ndarray:
    """A copy of `image` with `patch` blended in under `mask`; every pixel where the mask is 0 keeps its bytes."""
    result = image.copy()
    below = box.of(image).astype(np.float32)
    blended = below + (patch - below) * mask[..., None]
    box.of(result)[...] = np.where(mask[..., None] > 0, np.rint(blended), below).astype(np.uint8)
    return result
