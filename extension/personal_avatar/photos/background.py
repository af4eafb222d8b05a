"""What is behind a person, blurred or replaced by one colour; the person stays as photographed."""
from __future__ import annotations

import numpy as np
from PIL import Image

from personal_avatar.photos.settings import KEEP, PLAIN, PhotoSettings

# Of the longer side: how far colours of person and background are looked for at the edge, and how far is blurred.
EDGE_SHARE = 0.02
BLUR_SHARE = 0.04
SURE_FROM = 0.9
_LEAST, _TINY = 1e-3, 1e-9


def replaced(image: np.ndarray, matte: np.ndarray, settings: PhotoSettings) -> np.ndarray:
    """`image`: uint8 RGB (height, width, 3); `matte`: float (height, width), 1 on the person. The same size; pixels
    that are wholly the person's keep their bytes."""
    if settings.background == KEEP:
        return image
    share = matte[:, :, None].astype(np.float32)
    pixels = image.astype(np.float32)
    side = max(image.shape[:2])
    if settings.background == PLAIN:
        behind: np.ndarray = np.array(rgb(settings.background_colour), dtype=np.float32)
    else:
        behind = _mean_around(pixels, _surely(1 - share), side * BLUR_SHARE)
    made = share * _person(pixels, share, side * EDGE_SHARE) + (1 - share) * behind
    return np.rint(np.clip(made, 0, 255)).astype(np.uint8)


def rgb(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` as three numbers 0..255."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return red, green, blue


def _person(pixels: np.ndarray, share: np.ndarray, reach_px: float) -> np.ndarray:
    """The person's own colours, free of what shines through at the edge: the estimate of both sides from what is
    around, mended so that it gives the photo again (Forte, arXiv 2006.14970)."""
    person = _mean_around(pixels, _surely(share), reach_px)
    behind = _mean_around(pixels, _surely(1 - share), reach_px)
    mended: np.ndarray = person + share * (pixels - share * person - (1 - share) * behind)
    return np.clip(mended, 0, 255)


def _surely(share: np.ndarray) -> np.ndarray:
    """Weight of pixels that are one thing and hardly another; of the others it cannot be told which colour is whose."""
    return np.clip((share - SURE_FROM) / (1 - SURE_FROM), 0, 1)


def _mean_around(pixels: np.ndarray, weight: np.ndarray, reach_px: float) -> np.ndarray:
    """The weighted mean of the pixels around each; where nothing has weight, of ever larger surroundings."""
    found = _smooth(pixels * weight, reach_px)
    total = _smooth(weight, reach_px)
    near = found / np.maximum(total, _TINY)
    if total.min() >= _LEAST or reach_px >= max(pixels.shape[:2]):
        return near
    trust = np.minimum(total / _LEAST, 1)
    return trust * near + (1 - trust) * _mean_around(pixels, weight, reach_px * 4)


def _smooth(planes: np.ndarray, reach_px: float) -> np.ndarray:
    """float32 (height, width, n), each plane without detail finer than `reach_px`."""
    height, width = planes.shape[:2]
    small = (max(1, round(width / reach_px)), max(1, round(height / reach_px)))
    smoothed = [
        Image.fromarray(np.ascontiguousarray(planes[:, :, plane]))
        .resize(small, Image.Resampling.BOX)
        .resize((width, height), Image.Resampling.BILINEAR)
        for plane in range(planes.shape[2])
    ]
    return np.stack([np.asarray(plane) for plane in smoothed], axis=2)
