"""ArcFace recognisers of insightface (Deng and others, 2019): w600k_mbf, w600k_r50, glintr100, 512 numbers."""
from __future__ import annotations

from pathlib import Path

import numpy as np

from personal_avatar.faces.analyser import Recogniser
from personal_avatar.sessions import session

# w600k_mbf on real photos of 8 people: the same person .52-.91, also 4 to 11 years apart; others -.10 to .20.
SAME_PERSON_ABOVE = 0.30


def arcface(path: Path) -> Recogniser:
    """Run one such file with onnxruntime. The vector is insightface's `embedding` (not normalised; tests/contract)."""

    def vector(aligned: np.ndarray) -> np.ndarray:
        network = session(path, card=True)
        rgb = np.ascontiguousarray(aligned.transpose(2, 0, 1)[None], dtype=np.float32)
        return network.run(None, {network.get_inputs()[0].name: (rgb - 127.5) / 127.5})[0][0]

    return Recogniser(path.stem, SAME_PERSON_ABOVE, vector)
