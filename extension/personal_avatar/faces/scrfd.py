"""SCRFD, insightface's detectors (Guo and others: Sample and computation redistribution for face detection, 2021)."""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.detection import distinct
from personal_avatar.sessions import session

CANVAS_PX = 640
STRIDES_PX = (8, 16, 32)
ANCHORS = 2


@dataclass(frozen=True)
class Scrfd:
    """Files with landmarks: det_10g, det_500m, scrfd_*_bnkps, ... `score_above` in 0..1, insightface's default;
    `canvas_px`: a multiple of 32."""

    path: Path
    score_above: float = 0.5
    canvas_px: int = CANVAS_PX

    def __call__(self, canvas: np.ndarray) -> list[Face]:
        """`canvas`: uint8 RGB (canvas_px, canvas_px, 3)."""
        return self._looked_at(canvas[None])[0]

    def smaller(self) -> Scrfd:
        """The same on a quarter of the canvas: four times as fast, and good enough for large faces."""
        return replace(self, canvas_px=self.canvas_px // 2)

    def many(self, canvases: np.ndarray) -> list[list[Face]]:
        """The faces on each of uint8 RGB (n, canvas_px, canvas_px, 3): at once where the file takes several."""
        together = len(session(self.path, card=True).get_outputs()[0].shape) == 3
        return self._looked_at(canvases) if together else [self(canvas) for canvas in canvases]

    def _looked_at(self, canvases: np.ndarray) -> list[list[Face]]:
        """Outputs of the network: 3 scores, 3 boxes, 3 landmarks, by stride; with a first axis for the pictures where
        it takes several."""
        rgb = np.ascontiguousarray(canvases.transpose(0, 3, 1, 2), dtype=np.float32)
        network = session(self.path, card=True)
        outputs = network.run(None, {network.get_inputs()[0].name: (rgb - 127.5) / 128.0})
        split = [output.reshape(len(canvases), -1, output.shape[-1]) for output in outputs]
        return [self._found([output[number] for output in split]) for number in range(len(canvases))]

    def _found(self, flat: list[np.ndarray]) -> list[Face]:
        maps = zip(STRIDES_PX, flat[0:3], flat[3:6], flat[6:9], strict=True)
        return distinct([face for stride, *arrays in maps for face in self._faces(stride, *arrays)])

    def _faces(self, stride: int, scores: np.ndarray, boxes: np.ndarray, points: np.ndarray) -> list[Face]:
        """Boxes are distances (left, top, right, bottom) from the anchor's point, in strides; landmarks likewise."""
        good = np.flatnonzero(scores[:, 0] >= self.score_above)
        cells = good // ANCHORS
        side = self.canvas_px // stride
        anchors = np.stack([cells % side, cells // side], axis=1) * float(stride)
        corners = np.hstack([anchors - boxes[good, :2] * stride, anchors + boxes[good, 2:] * stride])
        landmarks = anchors[:, None] + points[good].reshape(-1, 5, 2) * stride
        return [
            Face(tuple(box.tolist()), tuple(map(tuple, marks.tolist())), float(score))
            for box, marks, score in zip(corners, landmarks, scores[good, 0], strict=True)
        ]
