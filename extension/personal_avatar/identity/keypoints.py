"""The picture that an IdentityNet follows: five points of every face, drawn as InstantID was trained on them.

Points are (eye, eye, nose, corner of the mouth, corner of the mouth), the viewer's left one first, in pixels.
The drawing follows `draw_kps` of InstantID's pipeline_stable_diffusion_xl_instantid.py; sizes are (width, height).
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.errors import InvalidSettings, NoFace
from personal_avatar.problems import stated

Box = tuple[float, float, float, float]  # left, top, right, bottom

NOSE = 2
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255))
STICK_SHARE = 0.6  # of a point's colour that is left in the stick from it to the nose
STICK_PX, RADIUS_PX, DRAWN_FOR_PX = 4, 10, 1024  # half the width of a stick, and of a point, in a picture of that size


def draw(points_px: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 RGB (height, width, 3), black around what is drawn. `points_px`: (faces, 5, 2), also outside of it."""
    from PIL import Image, ImageDraw

    faces = np.asarray(points_px, dtype=np.float64).reshape(-1, len(COLOURS), 2)
    scale = max(width, height) / DRAWN_FOR_PX
    stick, radius = max(1, round(STICK_PX * scale)), max(1, round(RADIUS_PX * scale))
    sticks = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(sticks)
    for points in faces:
        for number in range(len(COLOURS)):
            if number != NOSE:
                dark = tuple(int(value * STICK_SHARE) for value in COLOURS[number])
                pen.polygon(_stick(points[number], points[NOSE], stick), fill=dark, outline=dark)
    picture = np.array(sticks)
    for points in faces:
        for point, colour in zip(points, COLOURS, strict=True):
            _draw_disc(picture, np.trunc(point), radius, colour)
    return picture


def _stick(end: np.ndarray, nose: np.ndarray, half_width: int) -> list[tuple[int, int]]:
    """Corners of an ellipse over the whole way, one per degree. Centre, length and angle are cut to whole pixels and
    degrees, the corners rounded, as the original does it."""
    across, down = end - nose
    turned = math.radians(math.trunc(math.degrees(math.atan2(down, across))))
    around = np.radians(np.arange(360))
    along = math.trunc(math.hypot(across, down) / 2) * np.cos(around)
    aside = half_width * np.sin(around)
    x, y = np.trunc((end + nose) / 2)
    columns = np.rint(x + along * math.cos(turned) - aside * math.sin(turned)).astype(int)
    rows = np.rint(y + along * math.sin(turned) + aside * math.cos(turned)).astype(int)
    return list(zip(columns.tolist(), rows.tolist(), strict=True))


def _draw_disc(picture: np.ndarray, centre: np.ndarray, radius: int, colour: tuple[int, int, int]) -> None:
    first = np.clip(centre - radius, 0, picture.shape[1::-1]).astype(int)
    last = np.clip(centre + radius + 1, 0, picture.shape[1::-1]).astype(int)
    rows, columns = np.mgrid[first[1] : last[1], first[0] : last[0]]
    inside = (columns - centre[0]) ** 2 + (rows - centre[1]) ** 2 <= radius**2
    picture[first[1] : last[1], first[0] : last[0]][inside] = colour


def from_reference(
    face: Face, size_px: tuple[int, int], target_px: tuple[int, int], box: Box | None = None
) -> np.ndarray:
    """Points (1, 5, 2) of a reference photo's face when the photo is fitted into the target, centred, its ratio kept.

    `box`: the part of the target, in shares, that the photo is fitted into. Points that the photo cut off are brought
    back into the picture, together with the others.
    """
    left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
    area = np.array(target_px, dtype=np.float64)
    room = np.array((right - left, bottom - top)) * area
    points = _fitted(_landmarks(face), size_px, room) + np.array((left, top)) * area
    return _brought_back(points, area - 1.0)[None]


def from_picture(faces: Sequence[Face], size_px: tuple[int, int], target_px: tuple[int, int]) -> np.ndarray:
    """Points (faces, 5, 2) of a picture that gives the pose, fitted into the target, centred, its ratio kept."""
    found = [_fitted(_landmarks(face), size_px, target_px) for face in faces]
    return np.array(found, dtype=np.float64).reshape(-1, len(COLOURS), 2)


def boxes_from_picture(
    faces: Sequence[Face], size_px: tuple[int, int], target_px: tuple[int, int]
) -> tuple[Box, ...]:
    """Where the boxes of these faces are in the target, in pixels; see `from_picture`."""
    corners = [_fitted(np.array(face.box_px).reshape(2, 2), size_px, target_px) for face in faces]
    return tuple((float(low[0]), float(low[1]), float(high[0]), float(high[1])) for low, high in corners)


def left_to_right(faces: Sequence[Face], count: int, names: Sequence[str] = ()) -> list[Face]:
    """The `count` largest faces in the order of their centres; the k-th is the k-th person's.

    Raises `NoFace` when there is none, `InvalidSettings` with the `names` that are left without a face.
    """
    if not faces:
        raise stated(NoFace, "failure.no_pose")
    if len(faces) < count:
        without = [names[number] if number < len(names) and names[number] else f"person {number + 1}"
                   for number in range(len(faces), count)]
        raise stated(
            InvalidSettings, "failure.pose_lacks", "remedy.everybody", found=len(faces), count=count,
            who=", ".join(without),
        )
    largest = sorted(faces, key=lambda face: face.width_px * face.height_px, reverse=True)[:count]
    return sorted(largest, key=lambda face: face.box_px[0] + face.box_px[2])


def _landmarks(face: Face) -> np.ndarray:
    return np.array(face.landmarks_px, dtype=np.float64).reshape(len(COLOURS), 2)


def _fitted(points: np.ndarray, size_px: tuple[int, int], room: tuple[int, int] | np.ndarray) -> np.ndarray:
    size, space = np.array(size_px, dtype=np.float64), np.array(room, dtype=np.float64)
    scale = (space / size).min()
    return points * scale + (space - size * scale) / 2


def _brought_back(points: np.ndarray, last_px: np.ndarray) -> np.ndarray:
    """Shifted as little as possible, so that every point is within 0..`last_px`; made smaller only if it must be."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = min(1.0, (last_px / np.maximum(high - low, 1e-9)).min())
    middle = (low + high) / 2
    smaller = (points - middle) * scale + middle
    shift = np.maximum(-smaller.min(axis=0), 0.0) - np.maximum(smaller.max(axis=0) - last_px, 0.0)
    return np.clip(smaller + shift, 0.0, last_px)
