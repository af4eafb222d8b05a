"""CCIP, which tells drawn characters apart where recognisers of faces cannot (7eu7d7 and deepghs, 2023).

A network looks at the character, 384 x 384 pixels, and answers 768 numbers. The published difference of two characters
is (1 - cosine) / 2, so that plain cosines serve as everywhere else. (The file model_metrics.onnx holds that formula. It
follows from the differences in imgutils' own documentation: of images 1 to 3 to their mean .0744, .0356, .0440 gives
.1659 for images 1 and 2, where .1658 is printed.)

Recognisers of faces want five landmarks brought into place; this one wants the character as it is, hair and all. So a
square around the head and shoulders is cut out, in the measure in which training pictures are cut.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from personal_avatar.domain import Face
from personal_avatar.faces.detection import Detector, find_faces
from personal_avatar.sessions import session
from personal_avatar.vectors import unit

INPUT_PX = 384
# Of the pictures that CLIP and its heirs were trained on.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], dtype=np.float32)
SPREAD = np.array([0.26862954, 0.26130258, 0.27577711], dtype=np.float32)
# The side of the square in heights of the face, and how far above its middle the middle of the face lies.
SIDE, ABOVE = 2.4, 0.15
# The difference below which two pictures show the same character, best by F1 in each model's own benchmark.
SAME_BELOW = {
    "ccip-caformer-24-randaug-pruned": 0.17847511,
    "ccip-caformer-6-randaug-pruned_fp32": 0.19512240,
    "ccip-caformer-5_fp32": 0.18397328,
    "ccip-caformer_b36-24": 0.213,
}
USUAL = SAME_BELOW["ccip-caformer-24-randaug-pruned"]


@dataclass(frozen=True)
class CharacterAnalyser:
    """A `FaceAnalyser` whose vectors are of characters. `path`: `<name of the model>/model_feat.onnx`."""

    detector: Detector
    path: Path
    any_turn: bool = True

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def same_person_above(self) -> float:
        return 1 - 2 * SAME_BELOW.get(self.name, USUAL)

    def detect(self, image: np.ndarray) -> list[Face]:
        return find_faces(self.detector, image, self.any_turn)

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        return unit(features(character(image, face), self.path))

    def upright(self) -> CharacterAnalyser:
        return replace(self, any_turn=False)


def character(image: np.ndarray, face: Face) -> np.ndarray:
    """Head and shoulders of one character: a square of uint8 RGB (height, width, 3), moved to lie in the picture; a
    picture that is too narrow for it is taken in its whole width."""
    height, width = image.shape[:2]
    left, top, right, bottom = face.box_px
    side = SIDE * (bottom - top)
    middle = (left + right) / 2, (top + bottom) / 2 + ABOVE * side
    x0, x1 = _span(middle[0], side, width)
    y0, y1 = _span(middle[1], side, height)
    return image[y0:y1, x0:x1]


def _span(middle: float, side: float, length: int) -> tuple[int, int]:
    """`side` pixels around `middle` that lie within 0..length; everything when they do not fit."""
    size = max(1, min(length, round(side)))
    start = min(max(0, round(middle - size / 2)), length - size)
    return start, start + size


def features(image: np.ndarray, path: Path) -> np.ndarray:
    """float32 (768,) of uint8 RGB (height, width, 3), as `imgutils.metrics.ccip_extract_feature` gives them: squeezed
    into a square, not normalised."""
    picture = Image.fromarray(image).resize((INPUT_PX, INPUT_PX), Image.Resampling.BILINEAR)
    rgb = (np.asarray(picture, dtype=np.float32) / 255.0 - MEAN) / SPREAD
    network = session(path, card=True)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)[None])
    found: np.ndarray = network.run(None, {network.get_inputs()[0].name: planes})[0][0]
    return found
