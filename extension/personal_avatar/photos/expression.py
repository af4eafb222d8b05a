"""How far eyes and mouth are open, for analysers that see more of a face than five points."""
from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.landmarks import Outlines, eye_opening, mouth_opening

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

# Height of an eye in its width, by 2d106det on 210 photos: closed eyes .08 and .09, others from .16 (laughing, looking
# down), half of them .30; of the mouth, half .07, laughing .25, surprised .59. The mouth agrees with the mesh of
# mediapipe (correlation .89).
CLOSED, OPEN = 0.08, 0.30
WIDE_OPEN_MOUTH = 0.5


class Expression(TypedDict, total=False):
    """Fields of `domain.Quality`."""

    eyes_open: float
    mouth_open: float


def expression(image: np.ndarray, face: Face, analyser: FaceAnalyser) -> Expression:
    """Both 0..1; empty where the analyser cannot tell. `image`: uint8 RGB (height, width, 3)."""
    outline = analyser.outline(image, face) if isinstance(analyser, Outlines) else None
    if outline is None:
        return {}
    eyes = (eye_opening(outline) - CLOSED) / (OPEN - CLOSED)
    return {
        "eyes_open": round(float(np.clip(eyes, 0, 1)), 2),
        "mouth_open": round(float(np.clip(mouth_opening(outline) / WIDE_OPEN_MOUTH, 0, 1)), 2),
    }
