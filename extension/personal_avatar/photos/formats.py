"""Open the bytes of a picture: Pillow's formats, and HEIC/AVIF through their plugins without registering them."""
from __future__ import annotations

import importlib
import io
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from personal_avatar.errors import UnreadablePhoto

# Page descriptions, which Pillow hands to another program or to the platform.
REFUSED = frozenset({"EPS", "WMF", "PDF"})


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


def open_picture(data: bytes, name: str) -> Image.Image:
    """The opened, not yet decoded picture. Raises `UnreadablePhoto`, or what a decoder raises on broken data."""
    plugin = _plugin(data)
    if plugin is not None:
        return _by_plugin(plugin, data, name)
    try:
        picture = Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise UnreadablePhoto(f"{name} is not a picture that can be read.") from error
    if picture.format in REFUSED:
        raise UnreadablePhoto(f"{name} is a {picture.format} drawing, not a photo.")
    return picture


def _plugin(data: bytes) -> Plugin | None:
    """By the brands of an ISO media file: the major one at byte 8, others from byte 16 to the end of the box."""
    if data[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end, 4))}
    return next((plugin for plugin in PLUGINS if plugin.brands & brands), None)


def _by_plugin(plugin: Plugin, data: bytes, name: str) -> Image.Image:
    try:
        opener = getattr(importlib.import_module(plugin.module), plugin.opener)
    except ImportError:
        return _by_pillow(plugin, data, name)
    return opener(io.BytesIO(data))


def _by_pillow(plugin: Plugin, data: bytes, name: str) -> Image.Image:
    """Newer Pillows read AVIF themselves."""
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError as error:
        raise UnreadablePhoto(
            f"{name} is in the format {plugin.name}, which needs the package {plugin.package}.",
            f"Run `pip install {plugin.package}`, or export the picture as JPEG.",
        ) from error
