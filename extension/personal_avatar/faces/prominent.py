"""The one face of a photo that is meant, with the very numbers that networks of insightface were trained with."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.detection import (
    NORMAL_SHARES,
    RETRY_SHARES,
    SAME_FACE_OVERLAP,
    Detector,
    View,
    area_px,
    mapped,
    overlap,
    search,
    turned_back,
)

# A large picture is also looked at in so many parts a side, overlapping by half.
PARTS = (3, 5)
# Faces of SCRFD that were surer and more upright than this had their landmarks right.
SURE_SCORE = 0.7
SURE_TILT_DEG = 50.0


def most_prominent(detector: Detector, image: np.ndarray) -> Face | None:
    """The largest face in a picture (uint8 RGB), with the numbers that insightface finds where it finds it, too.

    Looks harder than `find_faces`: a face that is doubtful or lies on its side is looked at in all four turns of the
    picture, where the surest counts; small faces of a large picture are looked at from near. None without a face.
    """
    upright = _in_turn(detector, image, 0)
    if upright is not None and upright.score >= SURE_SCORE and abs(tilt_deg(upright)) <= SURE_TILT_DEG:
        return upright
    turned = [_in_turn(detector, image, turn) for turn in (1, 2, 3)]
    seen = [face for face in (upright, *turned) if face is not None]
    return max(seen, key=lambda face: face.score) if seen else _in_parts(detector, image)


def tilt_deg(face: Face) -> float:
    """How far the line from the eyes to the mouth leans from straight down, -180..180; 0: the head is upright."""
    points = np.asarray(face.landmarks_px)
    right, down = points[3:].mean(axis=0) - points[:2].mean(axis=0)
    return float(np.degrees(np.arctan2(right, down)))


def _in_turn(detector: Detector, image: np.ndarray, quarter_turns: int) -> Face | None:
    turned = np.ascontiguousarray(np.rot90(image, quarter_turns))
    found = search(detector, turned, NORMAL_SHARES) or search(detector, turned, RETRY_SHARES)
    if not found:
        return None
    face = as_in_plain_view(detector, turned, max(found, key=area_px))
    return turned_back(face, quarter_turns, image.shape) if quarter_turns else face


def _in_parts(detector: Detector, image: np.ndarray) -> Face | None:
    """The largest of the faces that are too small to be seen in the whole picture."""
    height, width = image.shape[:2]
    for parts in PARTS:
        part_px = 2 * max(height, width) // (parts + 1)
        if part_px < detector.canvas_px // 2:
            break
        found = [
            face
            for top in _starts(height, part_px)
            for left in _starts(width, part_px)
            for face in _search_part(detector, image, (left, top, left + part_px, top + part_px), (1.0,))
        ]
        if found:
            return _from_near(detector, image, max(found, key=area_px))
    return None


def _from_near(detector: Detector, image: np.ndarray, face: Face) -> Face:
    """The same face, seen larger; `face` itself when it is not seen then."""
    left, top, right, bottom = (round(side) for side in face.box_px)
    margin_px = 2 * max(right - left, bottom - top)
    around = (max(0, left - margin_px), max(0, top - margin_px), right + margin_px, bottom + margin_px)
    seen = _search_part(detector, image, around, NORMAL_SHARES)
    return max(seen, key=lambda other: overlap(face, other), default=face)


def _search_part(
    detector: Detector, image: np.ndarray, box: tuple[int, int, int, int], shares: Sequence[float]
) -> list[Face]:
    """Faces in a part of the picture (left, top, right, bottom), in pixels of the picture."""
    left, top, right, bottom = box
    found = search(detector, image[top:bottom, left:right], shares)
    return [mapped(face, lambda point: (point[0] + left, point[1] + top)) for face in found]


def _starts(length: int, part_px: int) -> range:
    """Where parts begin: half a part apart, the last one at the end."""
    return range(0, max(length - part_px // 2, 1), max(part_px // 2, 1))


def as_in_plain_view(detector: Detector, image: np.ndarray, face: Face) -> Face:
    """`face` with the numbers of the one look that insightface takes, if that shows it as well."""
    view = plain(image, detector.canvas_px)
    seen = [view.to_picture(other) for other in detector(view.canvas)]
    alike = max(seen, key=lambda other: overlap(face, other), default=face)
    return alike if overlap(face, alike) > SAME_FACE_OVERLAP else face


def plain(image: np.ndarray, canvas_px: int) -> View:
    """The picture in the upper left corner of a black canvas, reduced bit by bit as cv2.resize does it."""
    height, width = image.shape[:2]
    if height > width:
        size = (max(1, int(canvas_px / (height / width))), canvas_px)
    else:
        size = (canvas_px, max(1, int(canvas_px * (height / width))))
    left, right, of_left, of_right = _neighbours(width, size[0])
    above, below, of_above, of_below = _neighbours(height, size[1])
    upper, lower = (
        (image[row][:, left] * of_left[:, None] + image[row][:, right] * of_right[:, None]) >> 4
        for row in (above, below)
    )
    mixed = ((upper * of_above[:, None, None] >> 16) + (lower * of_below[:, None, None] >> 16) + 2) >> 2
    canvas = np.zeros((canvas_px, canvas_px, 3), np.uint8)
    canvas[: size[1], : size[0]] = mixed
    return View(canvas, size[1] / height, (0, 0))


def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each of `new` pixels its two neighbours among the `old` ones, and how much each counts, of 2048."""
    places = ((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32).clip(0, old - 1)
    first = places.astype(int)
    share = places - first
    counts = (np.rint(part * np.float32(2048)).astype(np.int32) for part in (1 - share, share))
    return (first, np.minimum(first + 1, old - 1), *counts)
