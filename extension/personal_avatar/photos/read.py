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
from personal_avatar.problems import stated
from personal_avatar.storage import opened


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
            raise stated(FileTooLarge, "failure.megabytes", file=path.name, size=f"{mb:.0f}", limit=f"{limit_mb:.0f}")
        with opened(path) as file:
            data = file.read()
    except (OSError, ValueError) as error:
        why = reason_of(error)
        raise stated(UnreadablePhoto, "failure.unreadable", "remedy.exists", file=path.name, cause=why) from error
    if not data:
        raise stated(UnreadablePhoto, "failure.empty", "remedy.copy", file=path.name)
    return data
