"""A file -> an upright sRGB picture, whatever Pillow reads; everything else is a named error.

The file is read once, its size is checked before it is decoded, and no switch of Pillow that holds for the whole
process (MAX_IMAGE_PIXELS, LOAD_TRUNCATED_IMAGES, registered plugins) is touched, because the host shares it.
"""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from personal_avatar.domain import Photo
from personal_avatar.errors import FileTooLarge, UnreadablePhoto
from personal_avatar.photos.colour import pixels_of, to_srgb
from personal_avatar.photos.formats import open_picture

EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded."""

    side_px: int = 8000
    file_bytes: int = 40_000_000


def read_photo(path: Path, limits: Limits = Limits()) -> tuple[Photo, np.ndarray]:
    """The photo and its pixels, uint8 RGB (height, width, 3), upright, sRGB; of an animation the first frame.

    Transparent parts become white. Raises `UnreadablePhoto` and `FileTooLarge`, nothing else.
    """
    path = Path(path)
    data = _bytes(path, limits)
    try:
        with open_picture(data, path.name) as picture:
            _check_size(path, picture.size, limits)
            pixels = pixels_of(to_srgb(_upright(picture)))
    except (UnreadablePhoto, FileTooLarge):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise FileTooLarge(f"{path.name} has more pixels than can be opened ({error}).") from error
    except Exception as error:  # decoders raise nearly anything on broken data
        raise UnreadablePhoto(f"{path.name} is broken: {_reason(error)}.") from error
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
        raise UnreadablePhoto(f"{path.name} cannot be read: {_reason(error)}.", hint) from error
    if not data:
        raise UnreadablePhoto(f"{path.name} is empty.", "Copy it again from where it came.")
    return data


def _check_size(path: Path, size_px: tuple[int, int], limits: Limits) -> None:
    if max(size_px) > limits.side_px:
        raise FileTooLarge(
            f"{path.name} has {size_px[0]} x {size_px[1]} pixels; at most {limits.side_px} a side are read.",
            f"Reduce the picture to at most {limits.side_px} pixels a side.",
        )


def _upright(picture: Image.Image) -> Image.Image:
    """Undo the camera's rotation as EXIF tells it; broken EXIF means none."""
    try:
        orientation = picture.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (EXIF is parsed from untrusted bytes; the picture itself is judged by its decoder)
        orientation = 1
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    picture.load()
    return picture if turn is None else _with_profile(picture.transpose(turn), picture)


def _with_profile(turned: Image.Image, original: Image.Image) -> Image.Image:
    turned.info = {**original.info, **turned.info}
    return turned


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().rstrip(".") or type(error).__name__
