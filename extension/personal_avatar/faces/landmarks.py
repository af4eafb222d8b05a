"""106 landmarks of a face by insightface's 2d106det, where the user has it: how far eyes and mouth are open."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.alignment import apply, inverse, warp
from personal_avatar.sessions import session

NAME = "2d106det.onnx"
CROP_PX = 192
ROOM = 1.5  # side of the crop in longer sides of the face's box
# Pairs of lids one above the other, then the corners.
EYES = (((41, 36), (40, 33), (42, 37), (35, 39)), ((96, 91), (94, 87), (95, 90), (93, 89)))
LIPS, CORNERS_OF_MOUTH = (62, 60), (52, 61)


@runtime_checkable
class Outlines(Protocol):
    """An analyser that may know more of a face than five points."""

    def outline(self, image: np.ndarray, face: Face) -> np.ndarray | None:
        """Float (106, 2) in pixels of the picture; None without the network for it."""
        ...


@dataclass(frozen=True)
class Landmarks106:
    """`path`: the file of insightface. Numbers of its points as there: 33-42 and 87-96 eyes, 52-71 mouth."""

    path: Path

    def __call__(self, image: np.ndarray, face: Face) -> np.ndarray:
        """`image`: uint8 RGB (height, width, 3). Float (106, 2) in its pixels."""
        scale = CROP_PX / (ROOM * max(face.width_px, face.height_px, 1.0))
        x, y = (face.box_px[0] + face.box_px[2]) / 2, (face.box_px[1] + face.box_px[3]) / 2
        matrix = np.array([[scale, 0, CROP_PX / 2 - scale * x], [0, scale, CROP_PX / 2 - scale * y]])
        crop = warp(image, matrix, (CROP_PX, CROP_PX))
        network = session(self.path)
        feed = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)
        found = network.run(None, {network.get_inputs()[0].name: feed})[0].reshape(-1, 2)
        return apply(inverse(matrix), (found + 1) * CROP_PX / 2)


def eye_opening(outline: np.ndarray) -> float:
    """Height of the wider open eye between the lids, in widths of the eye."""
    shares = []
    for *lids, corners in EYES:
        height = float(np.mean([_distance(outline, *pair) for pair in lids]))
        shares.append(height / max(_distance(outline, *corners), 1e-6))
    return max(shares)


def mouth_opening(outline: np.ndarray) -> float:
    """Between the lips, in widths of the mouth."""
    return _distance(outline, *LIPS) / max(_distance(outline, *CORNERS_OF_MOUTH), 1e-6)


def _distance(outline: np.ndarray, one: int, other: int) -> float:
    return float(np.hypot(*(outline[one] - outline[other])))
