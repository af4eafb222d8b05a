"""Directions: what face vectors are compared by."""
from __future__ import annotations

import numpy as np


def unit(vector: np.ndarray) -> np.ndarray:
    """float32, L2 norm 1; a zero vector stays zero. The cosine of two of them is their dot product."""
    vector = np.asarray(vector, dtype=np.float32)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
