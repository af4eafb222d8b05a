"""A face backend that can be computed by hand, for tests that need thousands of faces.

A picture is a grid of cells of 64 pixels on grey 128. A cell that differs from grey is a face; its embedding is the
cell reduced to 8 x 8, so blur and light change it little and another face changes it much.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from personal_avatar.domain import Face
from PIL import Image

CELL_PX = 64
GREY = 128


@dataclass(frozen=True)
class PaintedFaces:
    """Implements faces.analyser.FaceAnalyser."""

    name: str = "painted"
    same_person_above: float = 0.6

    def detect(self, image: np.ndarray) -> list[Face]:
        rows, columns = image.shape[0] // CELL_PX, image.shape[1] // CELL_PX
        corners = [(x * CELL_PX, y * CELL_PX) for y in range(rows) for x in range(columns)]
        return [face_at(x, y) for x, y in corners if _strength(image, x, y) > 8]

    def embed(self, image: np.ndarray, face: Face) -> np.ndarray:
        left, top = int(face.box_px[0]), int(face.box_px[1])
        cell = Image.fromarray(image[top : top + CELL_PX, left : left + CELL_PX]).resize((8, 8), Image.Resampling.BOX)
        vector = np.asarray(cell, dtype=np.float32).ravel() - GREY
        return vector / max(float(np.linalg.norm(vector)), 1e-9)

    def upright(self) -> PaintedFaces:
        return self


def _strength(image: np.ndarray, x: int, y: int) -> float:
    cell = image[y : y + CELL_PX, x : x + CELL_PX].astype(np.float32)
    return float(np.abs(cell - GREY).mean())


def face_at(x: float, y: float) -> Face:
    """A face that fills the cell whose corner is (x, y), with landmarks where an upright face has them."""
    share = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.58], [0.38, 0.74], [0.62, 0.74]]) * CELL_PX
    landmarks = tuple((float(x + dx), float(y + dy)) for dx, dy in share)
    return Face((float(x), float(y), float(x + CELL_PX), float(y + CELL_PX)), landmarks, 0.9)


def person(seed: int) -> np.ndarray:
    """One cell, uint8 RGB (64, 64, 3): smooth random blobs with some fine grain, always the same for a seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
    blobs = np.asarray(coarse.resize((CELL_PX, CELL_PX), Image.Resampling.BICUBIC), dtype=np.float32)
    return np.clip(blobs + rng.normal(0, 12, blobs.shape), 0, 255).astype(np.uint8)


def picture(*seeds: int | None) -> np.ndarray:
    """A row of cells: a person each, None for an empty one."""
    empty = np.full((CELL_PX, CELL_PX, 3), GREY, dtype=np.uint8)
    return np.concatenate([empty if seed is None else person(seed) for seed in seeds], axis=1)
