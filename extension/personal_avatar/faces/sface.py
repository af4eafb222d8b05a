"""SFace: a face recogniser with 128 numbers (Zhong and others: SFace, sigmoid-constrained hypersphere loss, 2021)."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from personal_avatar.faces.analyser import Recogniser
from personal_avatar.sessions import session

NAME = "sface-2021dec"
# Real photos of 8 people: the same person .58-.90, also 4 to 11 years apart; different people -.07 to .30.
SAME_PERSON_ABOVE = 0.40


def sface(path: Path) -> Recogniser:
    """The recogniser of the OpenCV Zoo, run by onnxruntime: the vectors of `cv2.FaceRecognizerSF` (tests/contract)."""

    def vector(aligned: np.ndarray) -> np.ndarray:
        network = session(path)
        # The block-quantised file still lists its old weights as inputs, which nothing reads: they get zeros.
        feed = {unused.name: np.zeros(unused.shape, np.float32) for unused in network.get_inputs()[1:]}
        feed["data"] = np.ascontiguousarray(aligned.transpose(2, 0, 1)[None], dtype=np.float32)
        return network.run(None, feed)[0][0]

    return Recogniser(NAME, SAME_PERSON_ABOVE, vector)
