"""Faces in many pictures: in batches where the networks take several, and with one look where that is enough.

`find_faces` looks twice at every picture. When pictures are ranked, nearly all show one large face: those are seen
whole with a border around, and only where no large face is found it is looked for as usual. Of 93 photos, synthetic
people and drawings every one had as many faces so as with two looks, with SCRFD and with YuNet.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.alignment import align_to
from personal_avatar.faces.analyser import Analyser, FaceAnalyser, normalised
from personal_avatar.faces.detection import Detector, area_px, find_faces, placed

SHARE = 0.8  # of the canvas; faces that fill the picture need a border
LARGE = 0.12  # of the picture's longer side; a face so large was never missed by one look, nor were those beside it
CERTAIN = 0.6


@dataclass(frozen=True)
class ManyFaces:
    """Pictures are uint8 RGB (height, width, 3) of any sizes. Thread-safe, as the analyser is."""

    analyser: FaceAnalyser

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Face]]:
        """The faces of each, largest first."""
        if not isinstance(self.analyser, Analyser):
            return [self.analyser.detect(image) for image in images]
        detector = self.analyser.detector
        views = [placed(image, detector.canvas_px, SHARE) for image in images]
        seen = _seen(detector, np.stack([view.canvas for view in views])) if views else []
        found = [[view.to_picture(face) for face in faces] for view, faces in zip(views, seen, strict=True)]
        return [
            sorted(faces, key=area_px, reverse=True) if _enough(faces, image) else find_faces(detector, image)
            for faces, image in zip(found, images, strict=True)
        ]

    def embed(self, pairs: Sequence[tuple[np.ndarray, Face]]) -> list[np.ndarray]:
        """float32 (d,), L2 norm 1, of a face in each picture; see `FaceAnalyser.embed`."""
        if not pairs or not isinstance(self.analyser, Analyser) or self.analyser.recogniser.vectors is None:
            return [self.analyser.embed(image, face) for image, face in pairs]
        aligned = np.stack([align_to(image, face.landmarks_px) for image, face in pairs])
        return [normalised(vector) for vector in self.analyser.recogniser.vectors(aligned)]


def _seen(detector: Detector, canvases: np.ndarray) -> list[list[Face]]:
    together = getattr(detector, "many", None)
    return list(together(canvases)) if together else [detector(canvas) for canvas in canvases]


def _enough(faces: Sequence[Face], image: np.ndarray) -> bool:
    """Whether one look was enough: there is a large, certain face."""
    side_px = max(image.shape[:2])
    return any(face.width_px >= LARGE * side_px and face.score >= CERTAIN for face in faces)
