"""Open a picture, whoever gave it: Pillow's formats, and HEIC/AVIF through their plugins without registering them."""
from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from personal_avatar.errors import FileTooLarge, UnreadablePhoto
from personal_avatar.problems import stated

# Page descriptions, which Pillow hands to another program or to the platform.
REFUSED = frozenset({"EPS", "WMF", "PDF"})
MOST_SIDE_PX = 8000
_HEAD_BYTES = 256


@dataclass(frozen=True)
class Plugin:
    """A decoder outside of Pillow: the class `opener` in `module` of `package` opens a file object."""

    name: str
    brands: frozenset[bytes]
    package: str
    module: str
    opener: str


_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIC = Plugin("HEIC", _HEIC_BRANDS, "pillow-heif", "pillow_heif", "HeifImageFile")
AVIF = Plugin("AVIF", _AVIF_BRANDS, "pillow-avif-plugin", "pillow_avif.AvifImagePlugin", "AvifImageFile")
PLUGINS = (AVIF, HEIC)


def open_picture(file: BinaryIO, name: str, side_px: int = MOST_SIDE_PX) -> Image.Image:
    """The opened, not yet decoded picture. Raises `UnreadablePhoto`, `FileTooLarge` for more than `side_px` a side, or
    what a decoder raises on broken data; see `naming`."""
    picture = _opened(file, name)
    if picture.format in REFUSED:
        raise stated(UnreadablePhoto, "failure.drawing", file=name, format=picture.format)
    if max(picture.size) > side_px:
        raise stated(
            FileTooLarge, "failure.sides", "remedy.sides", file=name, width=picture.width, height=picture.height,
            most_px=side_px,
        )
    return picture


def is_picture(file: BinaryIO) -> bool:
    """Whether the head of a file is that of a picture, whether or not it can be read here; nothing is decoded."""
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if _plugin(head) is not None:
        return True
    try:
        with naming("the picture"):
            _by_pillow_alone(file, "the picture")
    except UnreadablePhoto as error:
        return not isinstance(error.__cause__, UnidentifiedImageError)
    return True


def may_be_picture(head: bytes) -> bool:
    """Whether `is_picture` may say so of a file that begins like this; `head`: at least 16 bytes and less than all.
    Formats are known by their first bytes; those that have no such are read from as much as there is."""
    return is_picture(BytesIO(head)) or any(accept and accept(head[:16]) for _, accept in Image.OPEN.values())


@contextmanager
def naming(name: str) -> Iterator[None]:
    """While a picture is read: everything that goes wrong is `UnreadablePhoto` or `FileTooLarge`."""
    try:
        yield
    except UnreadablePhoto:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError) as error:
        raise stated(FileTooLarge, "failure.too_many_pixels", file=name, cause=error) from error
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        why = reason_of(error)
        raise stated(UnreadablePhoto, "failure.unreadable", "remedy.exists", file=name, cause=why) from error
    except Exception as error:  # decoders raise nearly anything on broken data
        raise stated(UnreadablePhoto, "failure.broken", file=name, cause=reason_of(error)) from error


def reason_of(error: Exception) -> str:
    """What a sentence can say of an exception of a library."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().rstrip(".") or type(error).__name__


def _opened(file: BinaryIO, name: str) -> Image.Image:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    plugin = _plugin(head)
    if plugin is not None:
        return _by_plugin(plugin, file, name)
    return _by_pillow_alone(file, name)


def _by_pillow_alone(file: BinaryIO, name: str) -> Image.Image:
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        raise stated(UnreadablePhoto, "failure.no_picture", file=name) from error


def _plugin(head: bytes) -> Plugin | None:
    """By the brands of an ISO media file: the major one at byte 8, others from byte 16 to the end of the box."""
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4], "big"), _HEAD_BYTES)
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, end, 4))}
    return next((plugin for plugin in PLUGINS if plugin.brands & brands), None)


def _by_plugin(plugin: Plugin, file: BinaryIO, name: str) -> Image.Image:
    try:
        opener = getattr(importlib.import_module(plugin.module), plugin.opener)
    except ImportError:
        return _by_pillow(plugin, file, name)
    picture: Image.Image = opener(file)
    return picture


def _by_pillow(plugin: Plugin, file: BinaryIO, name: str) -> Image.Image:
    """Newer Pillows read AVIF themselves."""
    try:
        return Image.open(file)
    except UnidentifiedImageError as error:
        raise stated(
            UnreadablePhoto, "failure.plugin", "remedy.plugin", file=name, format=plugin.name, package=plugin.package,
        ) from error
