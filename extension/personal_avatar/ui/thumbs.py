"""Small pictures for the page."""

from __future__ import annotations

import base64
import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.domain import Face
from personal_avatar.errors import AvatarError

if TYPE_CHECKING:
    from PIL import Image

SIDE_PX = 224


def thumbnail(path: Path, face: Face | None = None) -> str:
    """A square JPEG of a photo as a data URI, around the face when there is one; empty for what cannot be read."""
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return ""
    return _thumbnail(path, stamp, face.box_px if face else None)


@lru_cache(maxsize=400)
def _thumbnail(path: Path, stamp: int, box_px: tuple[float, float, float, float] | None) -> str:
    from PIL import Image

    from personal_avatar.photos.read import read_photo

    try:
        _, pixels = read_photo(path)
    except (AvatarError, OSError, ValueError):
        return ""
    picture = Image.fromarray(pixels)
    small = picture.resize(
        (SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS, box=square_around(picture.size, box_px), reducing_gap=2.0
    )
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(small)).decode("ascii")


def jpeg(picture: Image.Image) -> bytes:
    """A picture without alpha as the file that the page shows."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def square_around(
    size_px: tuple[int, int], box_px: tuple[float, float, float, float] | None
) -> tuple[float, float, float, float]:
    """The largest square inside a picture of `size_px` whose centre is nearest to the centre of `box_px`."""
    width, height = size_px
    side = min(width, height)
    left, top, right, bottom = box_px or (0, 0, width, height)
    x = min(max((left + right) / 2 - side / 2, 0), width - side)
    y = min(max((top + bottom) / 2 - side / 2, 0), height - side)
    return (x, y, x + side, y + side)
