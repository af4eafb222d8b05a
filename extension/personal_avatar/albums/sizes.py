"""Pictures cut for where they will be shown, around the face."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from personal_avatar.errors import InvalidSettings

Box = tuple[float, float, float, float]  # left, top, right, bottom, pixels
FACE_HEIGHT = 0.45  # where in a cut picture the middle of the face lies, from the top
AIR = 1.25  # a cut is never closer than the face with this much around it
SMOOTHING = 4  # a circle is drawn this many times larger and reduced, for a soft edge
SMOOTH_PX = 1500  # from here on nobody sees the difference, and it would take gigabytes


@dataclass(frozen=True)
class Size:
    """`shape`: width over height, None: the picture's own; `side_px`: what a square is brought to, None: as cut;
    `face_share`: how much of the height the face shall take, None: the largest cut that fits; `circle`: transparent
    around it."""

    id: str
    shape: float | None = None
    side_px: int | None = None
    face_share: float | None = None
    circle: bool = False


ORIGINAL = "original"
SIZES = {
    size.id: size
    for size in (
        Size(ORIGINAL),
        Size("square", 1.0),
        Size("portrait", 4 / 5),
        Size("story", 9 / 16),
        Size("linkedin", 1.0, side_px=400, face_share=0.5),
        Size("round", 1.0, face_share=0.5, circle=True),
    )
}


def size_named(name: str) -> Size:
    """Raises `InvalidSettings`."""
    if name not in SIZES:
        raise InvalidSettings(f"There is no size {name!r}.", f"There are {', '.join(SIZES)}.")
    return SIZES[name]


def cut_box(size_px: tuple[int, int], shape: float, face: Box | None, face_share: float | None) -> Box:
    """Whole pixels (left, top, right, bottom) within a picture of `size_px` (width, height): a part of the wanted
    shape, around the face as far as the picture reaches, and around its middle without one."""
    width, height = size_px
    tall = min(float(height), width / shape)
    if face is not None:
        face_width, face_height = face[2] - face[0], face[3] - face[1]
        closest = AIR * max(face_height, face_width / shape)
        tall = min(tall, max(closest, face_height / face_share)) if face_share else tall
    cut_width, cut_height = max(1, min(width, round(tall * shape))), max(1, min(height, round(tall)))
    left, top, right, bottom = face or (0.0, 0.0, float(width), float(height))
    down = FACE_HEIGHT if face else 0.5
    x = round(min(max((left + right) / 2 - cut_width / 2, 0), width - cut_width))
    y = round(min(max((top + bottom) / 2 - cut_height * down, 0), height - cut_height))
    return x, y, x + cut_width, y + cut_height


def framed(image: np.ndarray, size: Size, face: Box | None) -> np.ndarray:
    """uint8 RGB (height, width, 3) -> the same in a size, RGBA for a circle. `face`: box of the face, None: unknown."""
    from PIL import Image

    if size.shape is None:
        return image
    left, top, right, bottom = cut_box((image.shape[1], image.shape[0]), size.shape, face, size.face_share)
    picture = Image.fromarray(image).crop((int(left), int(top), int(right), int(bottom)))
    if size.side_px is not None:
        picture = picture.resize((size.side_px, size.side_px), Image.Resampling.LANCZOS)
    if size.circle:
        picture.putalpha(_disc(picture.size))
    return np.asarray(picture)


def _disc(size_px: tuple[int, int]) -> Any:
    """White within the largest ellipse, black around it, mode L."""
    from PIL import Image, ImageDraw

    width, height = (side * (SMOOTHING if max(size_px) < SMOOTH_PX else 1) for side in size_px)
    disc = Image.new("L", (width, height), 0)
    ImageDraw.Draw(disc).ellipse((0, 0, width - 1, height - 1), fill=255)
    return disc.resize(size_px, Image.Resampling.BOX)
