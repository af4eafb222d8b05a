"""Find faces of every size with a detector that looks at a square canvas of fixed size.

Detectors miss faces that fill their view, and small ones after a large photo was reduced. So the picture is shown
twice: filling the canvas, and with a border of a sixth on each side; smaller and smaller, and turned, only if nothing
was found.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from PIL import Image

from personal_avatar.domain import Face

NORMAL_SHARES = (1.0, 2 / 3)
RETRY_SHARES = (0.4, 0.25)
SAME_FACE_OVERLAP = 0.4
PointMap = Callable[[tuple[float, float]], tuple[float, float]]


class Detector(Protocol):
    """Called with a canvas, uint8 RGB (canvas_px, canvas_px, 3), it answers the faces in pixels of the canvas."""

    @property
    def canvas_px(self) -> int: ...

    def __call__(self, canvas: np.ndarray) -> list[Face]: ...


@dataclass(frozen=True)
class View:
    """A picture put on a canvas: canvas = picture * scale + offset_px."""

    canvas: np.ndarray
    scale: float
    offset_px: tuple[int, int]

    def to_picture(self, face: Face) -> Face:
        """The face in pixels of the picture."""
        x, y = self.offset_px
        return mapped(face, lambda point: ((point[0] - x) / self.scale, (point[1] - y) / self.scale))


def find_faces(detector: Detector, image: np.ndarray, any_turn: bool = True) -> list[Face]:
    """Faces in a picture (uint8 RGB) of any size and orientation, largest first; each face once. `any_turn`: whether
    one that shows none as it stands is turned, which makes ten looks at it of four."""
    found = search(detector, image, NORMAL_SHARES) or search(detector, image, RETRY_SHARES)
    turns = iter((1, 3, 2) if any_turn else ())
    while not found and (turn := next(turns, None)) is not None:
        turned = np.ascontiguousarray(np.rot90(image, turn))
        found = [turned_back(face, turn, image.shape) for face in search(detector, turned, NORMAL_SHARES)]
    return sorted(found, key=area_px, reverse=True)


def search(detector: Detector, image: np.ndarray, shares: Sequence[float]) -> list[Face]:
    found: list[Face] = []
    for share in shares:
        view = placed(image, detector.canvas_px, share)
        found.extend(view.to_picture(face) for face in detector(view.canvas))
    return distinct(found)


def placed(image: np.ndarray, canvas_px: int, share: float) -> View:
    """The picture in the middle of a black canvas, its longer side `share` of the canvas."""
    height, width = image.shape[:2]
    scale = canvas_px * share / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    offset = ((canvas_px - size[0]) // 2, (canvas_px - size[1]) // 2)
    canvas = np.zeros((canvas_px, canvas_px, 3), np.uint8)
    canvas[offset[1] : offset[1] + size[1], offset[0] : offset[0] + size[0]] = np.asarray(picture)
    return View(canvas, scale, offset)


def distinct(faces: Sequence[Face]) -> list[Face]:
    """Each face once, the most certain of several boxes: greedy non-maximum suppression."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if all(overlap(face, other) <= SAME_FACE_OVERLAP for other in kept):
            kept.append(face)
    return kept


def area_px(face: Face) -> float:
    return face.width_px * face.height_px


def overlap(one: Face, other: Face) -> float:
    """Intersection over union, or over the smaller box when that lies almost whole in the other: 0..1."""
    width = min(one.box_px[2], other.box_px[2]) - max(one.box_px[0], other.box_px[0])
    height = min(one.box_px[3], other.box_px[3]) - max(one.box_px[1], other.box_px[1])
    shared = max(0.0, width) * max(0.0, height)
    areas = (one.width_px * one.height_px, other.width_px * other.height_px)
    within = shared / max(min(areas), 1e-9)
    return within if within > 0.8 else shared / max(sum(areas) - shared, 1e-9)


def turned_back(face: Face, quarter_turns: int, shape: tuple[int, ...]) -> Face:
    """Undo `np.rot90(image, quarter_turns)` of a picture of `shape`."""
    height, width = shape[:2]
    undo: dict[int, PointMap] = {
        1: lambda point: (width - point[1], point[0]),
        2: lambda point: (width - point[0], height - point[1]),
        3: lambda point: (point[1], height - point[0]),
    }
    return mapped(face, undo[quarter_turns])


def mapped(face: Face, point_map: PointMap) -> Face:
    left, top, right, bottom = face.box_px
    (x0, y0), (x1, y1) = point_map((left, top)), point_map((right, bottom))
    box = (float(min(x0, x1)), float(min(y0, y1)), float(max(x0, x1)), float(max(y0, y1)))
    landmarks = tuple((float(x), float(y)) for x, y in map(point_map, face.landmarks_px))
    return replace(face, box_px=box, landmarks_px=landmarks)
