"""How much pictures of one prompt differ among themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

THUMBNAIL_PX = 24


def diversity(images: Sequence[np.ndarray] | np.ndarray, asked: Sequence[str]) -> float:
    """How much pictures of one prompt differ: mean over pairs of the root mean square difference, 0..1, of pictures
    made small, so that composition and colours count and not details. 0 without two pictures of one prompt."""
    small = np.stack([_thumbnail(image) for image in images])
    pairs = [(a, b) for a, b in itertools.combinations(range(len(asked)), 2) if asked[a] == asked[b]]
    return float(np.mean([np.sqrt(np.mean((small[a] - small[b]) ** 2)) for a, b in pairs])) if pairs else 0.0


def _thumbnail(image: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BOX)) / 255.0
