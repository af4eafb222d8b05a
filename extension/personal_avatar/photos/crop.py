"""Cut a window out of a photo, levelled, at the size of training."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from PIL import Image, ImageFilter

# What lies outside the photo is the photo mirrored at its edge, blurred by this share of the side: no second face.
PADDING_BLUR_SHARE = 0.04

Number = TypeVar("Number", float, np.ndarray)


@dataclass(frozen=True)
class Window:
    """A rectangle in a photo: its middle, (width, height), and the tilt (clockwise, degrees) that cutting levels."""

    centre_px: tuple[float, float]
    size_px: tuple[float, float]
    tilt_deg: float = 0.0

    @property
    def reach_px(self) -> tuple[float, float]:
        """Half the width and half the height of the upright rectangle that contains this one."""
        tilt = math.radians(self.tilt_deg)
        cos, sin = abs(math.cos(tilt)), abs(math.sin(tilt))
        width, height = self.size_px
        return (width * cos + height * sin) / 2, (width * sin + height * cos) / 2


@dataclass(frozen=True)
class Crop:
    """`image`: uint8 RGB (height, width, 3). `scale`: pixels of the crop per pixel of the photo."""

    image: np.ndarray
    window: Window
    scale: float
    padded: bool


def cut(image: np.ndarray, window: Window, size_px: tuple[int, int]) -> Crop:
    """Cut `window` out of uint8 RGB `image` and scale it to `size_px` (width, height)."""
    height, width = image.shape[:2]
    reach = [math.ceil(value) + 1 for value in window.reach_px]
    left, top = (math.floor(value) - room for value, room in zip(window.centre_px, reach, strict=True))
    right, bottom = (math.ceil(value) + room for value, room in zip(window.centre_px, reach, strict=True))
    margins = (max(0, -left), max(0, -top), max(0, right - width), max(0, bottom - height))
    part = image[max(0, top) : min(height, bottom), max(0, left) : min(width, right)]
    picture = Image.fromarray(_padded(part, margins, max(window.size_px)))
    middle = (window.centre_px[0] - left, window.centre_px[1] - top)
    level = _levelled(picture, middle, window)
    resized = level.resize(size_px, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Crop(np.asarray(resized), window, size_px[0] / window.size_px[0], _sticks_out(window, width, height))


def to_crop(window: Window, size_px: tuple[int, int], point: tuple[Number, Number]) -> tuple[Number, Number]:
    """Where a point of the photo, or an array of them, comes to lie in the crop."""
    tilt = math.radians(window.tilt_deg)
    cos, sin = math.cos(tilt), math.sin(tilt)
    x, y = point[0] - window.centre_px[0], point[1] - window.centre_px[1]
    across, down = x * cos + y * sin, y * cos - x * sin
    return (
        across * (size_px[0] / window.size_px[0]) + size_px[0] / 2,
        down * (size_px[1] / window.size_px[1]) + size_px[1] / 2,
    )


def to_photo(window: Window, size_px: tuple[int, int], point: tuple[Number, Number]) -> tuple[Number, Number]:
    """The inverse of `to_crop`."""
    tilt = math.radians(window.tilt_deg)
    cos, sin = math.cos(tilt), math.sin(tilt)
    across = (point[0] - size_px[0] / 2) * (window.size_px[0] / size_px[0])
    down = (point[1] - size_px[1] / 2) * (window.size_px[1] / size_px[1])
    return across * cos - down * sin + window.centre_px[0], across * sin + down * cos + window.centre_px[1]


def places(window: Window, size_px: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where in the photo the pixels of a crop of `size_px` (width, height) lie: x and y, float (height, width) each."""
    down, across = np.mgrid[: size_px[1], : size_px[0]] + 0.5
    return to_photo(window, size_px, (across, down))


def _levelled(picture: Image.Image, middle: tuple[float, float], window: Window) -> Image.Image:
    """The window at the photo's own scale, at most half a pixel off; turned only if it is tilted."""
    width, height = (max(1, round(side)) for side in window.size_px)
    if window.tilt_deg == 0:
        left, top = round(middle[0] - width / 2), round(middle[1] - height / 2)
        return picture.crop((left, top, left + width, top + height))
    tilt = math.radians(window.tilt_deg)
    cos, sin = math.cos(tilt), math.sin(tilt)
    x0 = middle[0] - cos * width / 2 + sin * height / 2
    y0 = middle[1] - sin * width / 2 - cos * height / 2
    affine = (cos, -sin, x0, sin, cos, y0)
    return picture.transform((width, height), Image.Transform.AFFINE, affine, resample=Image.Resampling.BICUBIC)


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


def _sticks_out(window: Window, width: int, height: int) -> bool:
    (x, y), (across, down) = window.centre_px, window.reach_px
    return x < across - 1 or y < down - 1 or x > width - across + 1 or y > height - down + 1
