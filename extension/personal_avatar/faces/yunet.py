"""YuNet: a face detector of 75,000 parameters (Wu, Peng, Yu: YuNet, a tiny millisecond-level face detector, 2023).

Runs the file of the OpenCV Zoo with onnxruntime. Decoding follows that publication and gives the boxes of
`cv2.FaceDetectorYN` (tests/contract). On one core of 2026: 20 ms a view; found every face of 17 photos, 29 of 29 on the
Solvay conference of 1927, and all of our sample drawings.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personal_avatar.domain import Face
from personal_avatar.faces.detection import distinct
from personal_avatar.sessions import session

CANVAS_PX = 640
STRIDES_PX = (8, 16, 32)

# The block-quantised file declares a block size for biases that have one scale in all. onnxruntime insists that it be 0
# there; OpenCV ignores it. Attributes block_size=64, axis=0 as protobuf bytes: only biases have axis 0.
_BLOCK_SIZE = b"\n\nblock_size\x18%b\xa0\x01\x02*\x0b\n\x04axis\x18\x00"
_PATCH = ((_BLOCK_SIZE % b"\x40", _BLOCK_SIZE % b"\x00"),)


@dataclass(frozen=True)
class YuNet:
    """Faces on a canvas of 640 pixels. `score_above` in 0..1."""

    path: Path
    score_above: float = 0.65
    canvas_px: int = CANVAS_PX

    def __call__(self, canvas: np.ndarray) -> list[Face]:
        """`canvas`: uint8 RGB (640, 640, 3)."""
        bgr = np.ascontiguousarray(canvas[:, :, ::-1].transpose(2, 0, 1)[None], dtype=np.float32)
        network = session(self.path, _PATCH)
        names = [output.name for output in network.get_outputs()]
        outputs = dict(zip(names, network.run(None, {"input": bgr}), strict=True))
        return distinct([face for stride in STRIDES_PX for face in self._faces(outputs, stride)])

    def _faces(self, outputs: dict[str, np.ndarray], stride: int) -> list[Face]:
        """Faces of one feature map; its cell (row, column) looks at pixel (column, row) * stride."""
        kinds = ("cls", "obj", "bbox", "kps")
        labels, objects, boxes, points = (outputs[f"{kind}_{stride}"][0] for kind in kinds)
        scores = np.sqrt(np.clip(labels[:, 0], 0, 1) * np.clip(objects[:, 0], 0, 1))
        good = np.flatnonzero(scores > self.score_above)
        cells = np.stack([good % (CANVAS_PX // stride), good // (CANVAS_PX // stride)], axis=1)
        centres = (cells + boxes[good, :2]) * stride
        halves = np.exp(boxes[good, 2:]) * stride / 2
        corners = np.hstack([centres - halves, centres + halves])
        landmarks = (cells[:, None] + points[good].reshape(-1, 5, 2)) * stride
        return [
            Face(tuple(box.tolist()), tuple(map(tuple, marks.tolist())), float(score))
            for box, marks, score in zip(corners, landmarks, scores[good], strict=True)
        ]
