"""A picture that Pillow opened, of any mode -> upright, 8-bit sRGB."""
from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
_DEEP = ("I", "F")
STRIP_ROWS = 256
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


def upright(picture: Image.Image) -> Image.Image:
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


def to_srgb(picture: Image.Image, ground: tuple[int, int, int] = WHITE) -> Image.Image:
    """RGB without alpha (transparent parts on `ground`), embedded colour profile applied; a broken one is ignored."""
    if picture.mode.startswith(_DEEP):
        return _eight_bit(picture).convert("RGB")
    if picture.mode == "P" or (picture.mode in ("1", "L", "RGB") and "transparency" in picture.info):
        picture = _keeping_info(picture.convert("RGBA" if "transparency" in picture.info else "RGB"), picture)
    if picture.mode in ("LA", "La", "RGBA", "RGBa", "PA"):
        return _on(ground, _keeping_info(picture.convert("RGBA"), picture))
    return _profiled(picture)


def pixels_of(picture: Image.Image) -> np.ndarray:
    """uint8 (height, width, 3) of an RGB picture; in strips, which costs half the memory of doing it at once."""
    pixels = np.empty((picture.height, picture.width, 3), np.uint8)
    for top, strip in _strips(picture):
        pixels[top : top + strip.height] = np.asarray(strip)
    return pixels


def _strips(picture: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """The first row of each, and the part."""
    for top in range(0, picture.height, STRIP_ROWS):
        yield top, picture.crop((0, top, picture.width, min(top + STRIP_ROWS, picture.height)))


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16- and 32-bit greys; floats are taken as 0..1 if no value is above 1."""
    highest = max((float(_finite(strip).max(initial=0.0)) for _, strip in _strips(picture)), default=0.0)
    scale = 1.0
    if picture.mode.startswith("I;16") or (picture.mode == "I" and highest > 255):
        scale = 1 / 257.0
    elif picture.mode == "F" and highest <= 1.0:
        scale = 255.0
    grey = Image.new("L", picture.size)
    for top, strip in _strips(picture):
        values = np.clip(np.rint(_finite(strip) * scale), 0, 255).astype(np.uint8)
        grey.paste(Image.fromarray(values), (0, top))
    return grey


def _finite(strip: Image.Image) -> np.ndarray:
    values: np.ndarray = np.nan_to_num(np.asarray(strip).astype(np.float64))
    return values


def _on(ground: tuple[int, int, int], picture: Image.Image) -> Image.Image:
    colours = _profiled(_keeping_info(picture.convert("RGB"), picture))
    laid = Image.new("RGB", picture.size, ground)
    laid.paste(colours, mask=picture.getchannel("A"))
    return laid


def _profiled(picture: Image.Image) -> Image.Image:
    """Apply the embedded ICC profile; sRGB itself, and anything that the colour engine refuses, is taken as it is."""
    data = picture.info.get("icc_profile")
    if not data or picture.mode not in ("L", "RGB", "CMYK", "LAB"):
        return picture.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        if picture.mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(profile):
            return picture
        converted = ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture.convert("RGB")
    return converted if converted is not None else picture.convert("RGB")


def _keeping_info(converted: Image.Image, original: Image.Image) -> Image.Image:
    converted.info = {"icc_profile": original.info.get("icc_profile")}
    return converted
