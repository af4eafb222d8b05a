"""Faces of drawn characters: anime_face_detection of deepghs, a YOLOv8 with one class.

Its input and output are those of `imgutils.detect.detect_faces`: RGB in 0..1, and for each place of the picture middle,
width, height and score. It knows boxes only. Where another detector sees the same face, that one's landmarks are taken;
elsewhere those of an upright face that looks straight ahead, so that crops are right and turns are not judged.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.detection import Detector, distinct, overlap
from personal_avatar.sessions import session

CANVAS_PX = 640
# The threshold with the best F1 in the detector's own benchmark (threshold.json beside v1.4 s).
SCORE_ABOVE = 0.307
SAME_FACE = 0.4
# Eyes, nose, corners of the mouth in shares of the box: the mean of what YuNet found on 104 drawings, made symmetric.
UPRIGHT = ((0.29, 0.39), (0.71, 0.39), (0.50, 0.60), (0.33, 0.75), (0.67, 0.75))


@dataclass(frozen=True)
class DrawnFaces:
    """`marks`: whose landmarks are taken where it agrees, on canvases of the same size; None: nobody's."""

    path: Path
    marks: Detector | None = None
    score_above: float = SCORE_ABOVE
    canvas_px: int = CANVAS_PX

    def __call__(self, canvas: np.ndarray) -> list[Face]:
        """`canvas`: uint8 RGB (640, 640, 3)."""
        network = session(self.path, card=True)
        rgb = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None], dtype=np.float32) / 255.0
        table = network.run(None, {network.get_inputs()[0].name: rgb})[0][0]
        found = [_face(row) for row in table.T if row[4] > self.score_above]
        marked = self.marks(canvas) if found and self.marks is not None else []
        return [_with_landmarks(face, marked) for face in distinct(found)]


def _face(row: np.ndarray) -> Face:
    """`row`: x and y of the middle, width, height, score."""
    x, y, width, height, score = (float(value) for value in row)
    box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Face(box, tuple((box[0] + right * width, box[1] + down * height) for right, down in UPRIGHT), score)


def _with_landmarks(face: Face, others: Sequence[Face]) -> Face:
    """The landmarks of whichever of `others` is the same face."""
    same = max(others, key=lambda other: overlap(face, other), default=None)
    if same is None or overlap(face, same) < SAME_FACE:
        return face
    return replace(face, landmarks_px=same.landmarks_px)
