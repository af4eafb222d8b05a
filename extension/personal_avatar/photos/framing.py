"""Where to cut a photo: a head-and-shoulders square around the face, or the whole picture at a size for training."""
from __future__ import annotations

import math
from fractions import Fraction

from personal_avatar.domain import Face
from personal_avatar.errors import BadInput
from personal_avatar.photos.crop import Window
from personal_avatar.photos.quality import roll_deg
from personal_avatar.photos.settings import FULL, PhotoSettings

# The middle of the face lies this share of the side below the upper edge: room for hair above, shoulders below.
FACE_HEIGHT_SHARE = 0.46
# A square never gets closer to the face than this many face heights, however small the photo is.
CLOSEST_MARGIN = 1.3
# Sides of whole pictures are multiples of this: what the lowest level of every family's network asks for.
STEP_PX = 64


def frame(
    face: Face | None, photo_px: tuple[int, int], resolution_px: int, settings: PhotoSettings, framing: str
) -> tuple[Window, tuple[int, int]]:
    """The window to cut out of a photo of `photo_px` (width, height), and the (width, height) to scale it to.

    Without a face it is the whole picture in every framing.
    """
    if framing == FULL or face is None:
        bucket = bucket_for(photo_px, resolution_px)
        return whole_picture(face, photo_px, bucket), bucket
    return square_around(face, photo_px, resolution_px, settings), (resolution_px, resolution_px)


def bucket_for(size_px: tuple[int, int], resolution_px: int) -> tuple[int, int]:
    """The (width, height) at which a whole picture of `size_px` (width, height) is trained.

    Both are multiples of 64, never larger than the picture's, their product at most `resolution_px` squared. Of these
    sizes the one is taken that keeps most, counted as its area times the share of the picture that stays in it; of
    equals the one that cuts off least. Raises `BadInput` for a picture of less than 64 pixels a side.
    """
    width, height = size_px
    if min(width, height, resolution_px) < STEP_PX:
        raise BadInput(
            f"A picture of {width} x {height} pixels cannot be trained whole at {resolution_px}.",
            f"Use pictures and a resolution of at least {STEP_PX} pixels, or the framing portrait.",
        )
    area = resolution_px**2
    sizes = (
        (across, down)
        for across in range(STEP_PX, min(width, area // STEP_PX) + 1, STEP_PX)
        for down in range(STEP_PX, min(height, area // across) + 1, STEP_PX)
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


def square_around(face: Face, photo_px: tuple[int, int], resolution_px: int, settings: PhotoSettings) -> Window:
    """A square `crop_margin` face heights wide, and wider when the crop would be enlarged too much.

    The square is moved, and made a little smaller, to lie inside the photo of `photo_px` (width, height) as long as
    the face stays in it; what still sticks out gets padded.
    """
    tilt = roll_deg(face)
    tilt = tilt if abs(tilt) >= settings.level_from_deg else 0.0
    face_px = max(face.width_px, face.height_px)
    wanted = max(face_px * settings.crop_margin, resolution_px / settings.max_upscale)
    stretch = Window((0, 0), (1.0, 1.0), tilt).reach_px[0] * 2
    side = max(min(wanted, min(photo_px) / stretch), min(wanted, face_px * CLOSEST_MARGIN))
    across, down = _middle(face, photo_px)
    drop = (0.5 - FACE_HEIGHT_SHARE) * side
    x = across - math.sin(math.radians(tilt)) * drop
    y = down + math.cos(math.radians(tilt)) * drop
    reach, slack = side / 2 * stretch, max(0.0, (side / stretch - face_px) / 2)
    x = across + _clamp(_inside(x, reach, photo_px[0]) - across, slack)
    y = down + _clamp(_inside(y, reach, photo_px[1]) - down, slack)
    return Window((x, y), (side, side), tilt)


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
