"""Cut a head-and-shoulders square around a face, levelled, at the size of training."""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from personal_avatar.domain import Face
from personal_avatar.photos.quality import roll_deg
from personal_avatar.photos.settings import PhotoSettings

# The middle of the face lies this share of the side below the upper edge: room for hair above, shoulders below.
FACE_HEIGHT_SHARE = 0.46
# A square never gets closer to the face than this many face heights, however small the photo is.
CLOSEST_MARGIN = 1.3
# What lies outside the photo is the photo mirrored at its edge, blurred by this share of the side: no second face.
PADDING_BLUR_SHARE = 0.04


@dataclass(frozen=True)
class Square:
    """A square in a photo: its centre, its side, and the tilt (clockwise, degrees) that cutting it out levels."""

    centre_px: tuple[float, float]
    side_px: float
    tilt_deg: float = 0.0

    @property
    def reach_px(self) -> float:
        """Half of the upright square that contains this one."""
        tilt = math.radians(self.tilt_deg)
        return self.side_px / 2 * (abs(math.cos(tilt)) + abs(math.sin(tilt)))


@dataclass(frozen=True)
class Crop:
    """`image`: uint8 RGB (resolution, resolution, 3). `scale`: pixels of the crop per pixel of the photo."""

    image: np.ndarray
    square: Square
    scale: float
    padded: bool


def square_around(face: Face, size_px: tuple[int, int], resolution_px: int, settings: PhotoSettings) -> Square:
    """Where to cut: `crop_margin` face heights wide, and wider when the crop would be enlarged too much.

    `size_px`: (width, height) of the photo. The square is moved, and made a little smaller, to lie inside the photo as
    long as the face stays in it; what still sticks out gets padded.
    """
    tilt = roll_deg(face)
    tilt = tilt if abs(tilt) >= settings.level_from_deg else 0.0
    face_px = max(face.width_px, face.height_px)
    wanted = max(face_px * settings.crop_margin, resolution_px / settings.max_upscale)
    stretch = Square((0, 0), 1.0, tilt).reach_px * 2
    side = max(min(wanted, min(size_px) / stretch), min(wanted, face_px * CLOSEST_MARGIN))
    across, down = _middle(face, size_px)
    drop = (0.5 - FACE_HEIGHT_SHARE) * side
    x = across - math.sin(math.radians(tilt)) * drop
    y = down + math.cos(math.radians(tilt)) * drop
    reach, slack = side / 2 * stretch, max(0.0, (side / stretch - face_px) / 2)
    x = across + _clamp(_inside(x, reach, size_px[0]) - across, slack)
    y = down + _clamp(_inside(y, reach, size_px[1]) - down, slack)
    return Square((x, y), side, tilt)


def cut(image: np.ndarray, square: Square, resolution_px: int) -> Crop:
    """Cut `square` out of uint8 RGB `image` and scale it to `resolution_px`."""
    height, width = image.shape[:2]
    reach = math.ceil(square.reach_px) + 1
    left, top = (math.floor(value) - reach for value in square.centre_px)
    right, bottom = (math.ceil(value) + reach for value in square.centre_px)
    margins = (max(0, -left), max(0, -top), max(0, right - width), max(0, bottom - height))
    part = image[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    picture = Image.fromarray(_padded(part, margins, square.side_px))
    middle = (square.centre_px[0] - left, square.centre_px[1] - top)
    level = _levelled(picture, middle, square)
    resized = level.resize((resolution_px, resolution_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Crop(np.asarray(resized), square, resolution_px / square.side_px, _sticks_out(square, width, height))


def to_crop(square: Square, resolution_px: int, point_px: tuple[float, float]) -> tuple[float, float]:
    """Where a point of the photo comes to lie in the crop."""
    tilt = math.radians(square.tilt_deg)
    x, y = point_px[0] - square.centre_px[0], point_px[1] - square.centre_px[1]
    scale = resolution_px / square.side_px
    level = (x * math.cos(tilt) + y * math.sin(tilt), -x * math.sin(tilt) + y * math.cos(tilt))
    return (level[0] * scale + resolution_px / 2, level[1] * scale + resolution_px / 2)


def _levelled(picture: Image.Image, middle: tuple[float, float], square: Square) -> Image.Image:
    """The square at the photo's own scale, at most half a pixel off; turned only if it is tilted."""
    side = max(1, round(square.side_px))
    if square.tilt_deg == 0:
        left, top = round(middle[0] - side / 2), round(middle[1] - side / 2)
        return picture.crop((left, top, left + side, top + side))
    tilt, half = math.radians(square.tilt_deg), side / 2
    cos, sin = math.cos(tilt), math.sin(tilt)
    x0, y0 = middle[0] - cos * half + sin * half, middle[1] - sin * half - cos * half
    affine = (cos, -sin, x0, sin, cos, y0)
    return picture.transform((side, side), Image.Transform.AFFINE, affine, resample=Image.Resampling.BICUBIC)


def _padded(part: np.ndarray, margins: tuple[int, int, int, int], side_px: float) -> np.ndarray:
    """`margins`: what to add left, above, right, below. The photo's own pixels stay as they are."""
    if not any(margins):
        return np.ascontiguousarray(part)
    left, above, right, below = margins
    mirrored = np.pad(part, ((above, below), (left, right), (0, 0)), mode="symmetric")
    blur = ImageFilter.GaussianBlur(max(1.0, side_px * PADDING_BLUR_SHARE))
    padded = np.array(Image.fromarray(mirrored).filter(blur))
    padded[above : above + part.shape[0], left : left + part.shape[1]] = part
    return padded


def _sticks_out(square: Square, width: int, height: int) -> bool:
    x, y = square.centre_px
    reach = square.reach_px - 1
    return x < reach or y < reach or x > width - reach or y > height - reach


def _inside(centre: float, reach: float, length: int) -> float:
    """The nearest centre at which centre -+ reach lies in [0, length]; the middle of it when that cannot be."""
    return min(max(centre, reach), length - reach) if 2 * reach <= length else length / 2


def _clamp(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _middle(face: Face, size_px: tuple[int, int]) -> tuple[float, float]:
    """Of the face, and never outside of the photo."""
    left, top, right, bottom = face.box_px
    return (min(max((left + right) / 2, 0.0), size_px[0]), min(max((top + bottom) / 2, 0.0), size_px[1]))
