"""Where to cut a photo: around the face, closer or wider, or the whole picture; and how large the result is."""
from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from personal_avatar.domain import Face
from personal_avatar.errors import BadInput
from personal_avatar.photos.crop import Window
from personal_avatar.photos.quality import roll_deg
from personal_avatar.photos.settings import FULL, HALF, HEAD, PORTRAIT, PhotoSettings
from personal_avatar.problems import stated

# A window never gets closer to the face than this many face heights, however small the photo is.
CLOSEST_MARGIN = 1.3
# Sides of whole pictures are multiples of this: what the lowest level of every family's network asks for.
STEP_PX = 64
# The longer side of a whole picture is at most so many times the resolution, as engine kohya has it; more is cut off.
LONGEST = 2
# How many times upscalers make a photo larger.
FACTORS = (1, 2, 4)


@dataclass(frozen=True)
class Shape:
    """How a framing cuts: height of the window in heights of the face, how far below its upper edge the middle of the
    face lies (a share of it), and its proportions, width to height."""

    margin: float
    face_at: float
    proportions: tuple[int, int] = (1, 1)


# Heads with their hair reach .77 face heights above the middle of the face (half of 208 photos; .63 to 1.04) and .5
# below, .6 to each side (.4 to .95). A head is an eighth of an upright person, who is narrowest after three of them.
SHAPES = {HEAD: Shape(1.75, 0.53), PORTRAIT: Shape(2.2, 0.46), HALF: Shape(4.6, 0.22, (3, 4))}


def frame(
    face: Face | None, photo_px: tuple[int, int], resolution_px: int, settings: PhotoSettings, framing: str,
    factor: int = 1,
) -> tuple[Window, tuple[int, int]]:
    """The window to cut out of a photo of `photo_px` (width, height), and the (width, height) to scale it to: that of
    the resolution, or less where the photo would be enlarged by more than `settings.max_upscale`.

    Both have the same proportions. Without a face it is the whole picture in every framing. `factor`: how many times
    an upscaler makes the photo larger first.
    """
    if framing == FULL or face is None:
        bucket = bucket_for((photo_px[0] * factor, photo_px[1] * factor), resolution_px)
        return whole_picture(face, photo_px, bucket), bucket
    shape, limit = _shape(framing, settings), settings.max_upscale * factor
    size_px = _full_size(shape, resolution_px)
    window = window_around(face, photo_px, size_px, shape, limit, settings.level_from_deg)
    if size_px[0] <= window.size_px[0] * limit + 1e-6:
        return window, size_px
    across, down = (max(STEP_PX, math.floor(side * limit + 1e-6)) for side in window.size_px)
    smaller = bucket_for((across, down), max(STEP_PX, resolution_px))
    return window_around(face, photo_px, smaller, shape, limit, settings.level_from_deg), smaller


def factor_for(
    face: Face | None, photo_px: tuple[int, int], resolution_px: int, settings: PhotoSettings, framing: str
) -> int:
    """How many times larger (1, 2 or 4) a photo must be for a picture of the resolution, cut as the framing says."""
    if framing == FULL or face is None:
        lacking = math.sqrt(resolution_px**2 / (photo_px[0] * photo_px[1]))
    else:
        shape = _shape(framing, settings)
        size_px = _full_size(shape, resolution_px)
        window = window_around(face, photo_px, size_px, shape, math.inf, settings.level_from_deg)
        lacking = size_px[0] / (window.size_px[0] * settings.max_upscale)
    return next((factor for factor in FACTORS if lacking <= factor + 1e-6), FACTORS[-1])


def _shape(framing: str, settings: PhotoSettings) -> Shape:
    """As the framing is; the side of a portrait is a setting."""
    shape = SHAPES[framing]
    return replace(shape, margin=settings.crop_margin) if framing == PORTRAIT else shape


def bucket_for(size_px: tuple[int, int], resolution_px: int) -> tuple[int, int]:
    """The (width, height) at which a whole picture of `size_px` (width, height) is trained.

    Both are multiples of 64, never larger than the picture's and at most twice `resolution_px`, their product at most
    its square. Of these sizes the one is taken that keeps most, counted as its area times the share of the picture that
    stays in it; of equals the one that cuts off least. Raises `BadInput` for a picture of less than 64 pixels a side.
    """
    width, height = size_px
    if min(width, height, resolution_px) < STEP_PX:
        raise stated(
            BadInput, "failure.too_small", "remedy.whole", width=width, height=height, resolution=resolution_px,
            step_px=STEP_PX,
        )
    area, longest = resolution_px**2, LONGEST * resolution_px
    sizes = (
        (across, down)
        for across in range(STEP_PX, min(width, longest, area // STEP_PX) + 1, STEP_PX)
        for down in range(STEP_PX, min(height, longest, area // across) + 1, STEP_PX)
    )
    return max(sizes, key=lambda size: (size[0] * size[1] * _kept(size, size_px), _kept(size, size_px)))


def whole_picture(face: Face | None, photo_px: tuple[int, int], bucket: tuple[int, int]) -> Window:
    """The largest window of the bucket's proportions in the photo, as near to the face as it gets, without one in the
    middle. Nothing is turned.

    The face lies inside, except what is larger than the window itself.
    """
    scale = max(bucket[0] / photo_px[0], bucket[1] / photo_px[1])
    width, height = bucket[0] / scale, bucket[1] / scale
    across, down = _middle(face, photo_px) if face is not None else (photo_px[0] / 2, photo_px[1] / 2)
    centre = (_inside(across, width / 2, photo_px[0]), _inside(down, height / 2, photo_px[1]))
    return Window(centre, (width, height))


def window_around(
    face: Face, photo_px: tuple[int, int], size_px: tuple[int, int], shape: Shape, limit: float, level_from_deg: float
) -> Window:
    """A window of the proportions of `size_px` (width, height), `shape.margin` face heights high, and larger when it
    would be enlarged more than `limit` times; levelled from a tilt of `level_from_deg`.

    It is moved, and made a little smaller, to lie inside the photo of `photo_px` (width, height) as long as the face
    stays in it; what still sticks out gets padded.
    """
    tilt_deg = roll_deg(face)
    tilt_deg = tilt_deg if abs(tilt_deg) >= level_from_deg else 0.0
    unit = Window((0, 0), (size_px[0] / size_px[1], 1.0), tilt_deg)
    face_px = max(face.width_px, face.height_px)
    turned = Window((0, 0), (face_px, face_px), tilt_deg).reach_px[0] * 2
    wanted = max(face_px * shape.margin, size_px[1] / limit)
    room = min(side / (2 * reach) for side, reach in zip(photo_px, unit.reach_px, strict=True))
    closest = max(face_px * CLOSEST_MARGIN, turned) / min(unit.size_px)
    height = max(min(wanted, room), min(wanted, closest), turned / min(unit.size_px))
    size = (height * unit.size_px[0], height)
    return Window(_centre(face, photo_px, Window((0, 0), size, tilt_deg), shape, turned), size, tilt_deg)


def _centre(
    face: Face, photo_px: tuple[int, int], window: Window, shape: Shape, face_px: float
) -> tuple[float, float]:
    """Where the middle of a window of this size and tilt belongs; `face_px`: what it must keep of itself around the
    middle of the face."""
    across, down = _middle(face, photo_px)
    tilt = math.radians(window.tilt_deg)
    cos, sin = math.cos(tilt), math.sin(tilt)
    drop = (0.5 - shape.face_at) * window.size_px[1]
    x = _inside(across - sin * drop, window.reach_px[0], photo_px[0]) - across
    y = _inside(down + cos * drop, window.reach_px[1], photo_px[1]) - down
    slack = [max(0.0, (side - face_px) / 2) for side in window.size_px]
    right, below = _clamp(x * cos + y * sin, slack[0]), _clamp(y * cos - x * sin, slack[1])
    return across + right * cos - below * sin, down + right * sin + below * cos


def _full_size(shape: Shape, resolution_px: int) -> tuple[int, int]:
    """The (width, height) of a framing where the photo is large enough."""
    across, down = shape.proportions
    if across == down:
        return resolution_px, resolution_px
    return bucket_for((across * resolution_px, down * resolution_px), resolution_px)


def _kept(size: tuple[int, int], photo_px: tuple[int, int]) -> Fraction:
    """The share of a photo that stays when it is scaled to cover `size` and the rest is cut off; exact."""
    across, down = size[0] * photo_px[1], size[1] * photo_px[0]
    return Fraction(min(across, down), max(across, down))


def _inside(centre: float, reach: float, length: int) -> float:
    """The nearest centre at which centre -+ reach lies in [0, length]; the middle of it when that cannot be."""
    return min(max(centre, reach), length - reach) if 2 * reach <= length else length / 2


def _clamp(value: float, limit: float) -> float:
    return min(max(value, -limit), limit)


def _middle(face: Face, photo_px: tuple[int, int]) -> tuple[float, float]:
    """Of the face, and never outside of the photo."""
    left, top, right, bottom = face.box_px
    return (min(max((left + right) / 2, 0.0), photo_px[0]), min(max((top + bottom) / 2, 0.0), photo_px[1]))
