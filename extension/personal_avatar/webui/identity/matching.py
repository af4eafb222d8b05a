"""Whose face is whose; knows no WebUI."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def assigned(faces: Sequence[np.ndarray], people: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """(face, person) pairs, most similar first, every face and every person at most once; embeddings (d,)."""
    if not faces or not people:
        return []
    similarity = _units(faces) @ _units(people).T
    pairs = []
    for _ in range(min(similarity.shape)):
        face, person = np.unravel_index(int(np.argmax(similarity)), similarity.shape)
        pairs.append((int(face), int(person)))
        similarity[face, :] = similarity[:, person] = -np.inf
    return pairs


def _units(vectors: Sequence[np.ndarray]) -> np.ndarray:
    stacked = np.asarray(vectors, dtype=np.float64)
    return stacked / np.maximum(np.linalg.norm(stacked, axis=1, keepdims=True), 1e-12)
