"""Faces as a finder of faces answers them."""
from __future__ import annotations

import math

from personal_avatar.domain import Face


def face_at(x: float, y: float, width: float, tilt_deg: float = 0.0, nose: float = 0.0) -> Face:
    """A face 1.25 times as high as wide, its middle at (x, y); `nose`: how far it is turned, in widths."""
    height = 1.25 * width
    cos, sin = math.cos(math.radians(tilt_deg)), math.sin(math.radians(tilt_deg))
    offsets = [(-0.2, -0.1), (0.2, -0.1), (nose, 0.1), (-0.15, 0.25), (0.15, 0.25)]
    marks = tuple((x + width * (u * cos - v * sin), y + width * (u * sin + v * cos)) for u, v in offsets)
    return Face((x - width / 2, y - height / 2, x + width / 2, y + height / 2), marks, 0.9)
