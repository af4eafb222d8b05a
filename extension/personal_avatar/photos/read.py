"""A file -> an upright sRGB picture, whatever Pillow reads; everything else is a named error.

The file is read once, its size is checked before it is decoded, and no switch of Pillow that holds for the whole
process (MAX_IMAGE_PIXELS, LOAD_TRUNCATED_IMAGES, registered plugins) is touched, because the host shares it.
"""
from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personal_avatar.domain import Photo
from personal_avatar.errors import FileTooLarge, UnreadablePhoto
from personal_avatar.formats import MOST_SIDE_PX, naming, open_picture, reason_of
from personal_avatar.pixels import pixels_of, to_srgb, upright


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded."""

    side_px: int = MOST_SIDE_PX
    file_bytes: int = 40_000_000


def read_photo(path: Path, limits: Limits = Limits()) -> tuple[Photo, np.ndarray]:
    """The photo and its pixels, uint8 RGB (height, width, 3), upright, sRGB; of an animation the first frame.

    Transparent parts become white. Raises `UnreadablePhoto` and `FileTooLarge`, nothing else.
    """
    path = Path(path)
    data = _bytes(path, limits)
    with naming(path.name), open_picture(io.BytesIO(data), path.name, limits.side_px) as picture:
        pixels = pixels_of(to_srgb(upright(picture)))
    height, width = pixels.shape[:2]
    return Photo(path, hashlib.sha256(data).hexdigest(), (width, height)), pixels


def _bytes(path: Path, limits: Limits) -> bytes:
    try:
        size = path.stat().st_size
        if size > limits.file_bytes:
            mb, limit_mb = size / 1e6, limits.file_bytes / 1e6
            raise FileTooLarge(f"{path.name} has {mb:.0f} MB; at most {limit_mb:.0f} MB are read.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        hint = "Check that it exists and is a file."
        raise UnreadablePhoto(f"{path.name} cannot be read: {reason_of(error)}.", hint) from error
    if not data:
        raise UnreadablePhoto(f"{path.name} is empty.", "Copy it again from where it came.")
    return data
