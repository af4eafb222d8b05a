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

    def vectors(aligned: np.ndarray) -> np.ndarray:
        network = session(path, card=True)
        rgb = np.ascontiguousarray(aligned.transpose(0, 3, 1, 2), dtype=np.float32)
        found: np.ndarray = network.run(None, {network.get_inputs()[0].name: (rgb - 127.5) / 127.5})[0]
        return found

    return Recogniser(path.stem, SAME_PERSON_ABOVE, lambda aligned: vectors(aligned[None])[0], vectors)
