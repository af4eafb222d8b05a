"""Pictures of things without a face, and a style that they can be drawn in."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def motif(seed: int, side_px: int = 192) -> np.ndarray:
    """Sky, ground and some bodies in bright colours, uint8 RGB (side, side, 3)."""
    chance = np.random.default_rng(seed)
    picture = Image.new("RGB", (side_px, side_px), tuple(chance.integers(120, 255, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, int(side_px * 0.6), side_px, side_px), tuple(chance.integers(60, 200, 3).tolist()))
    for _ in range(7):
        x, y = chance.integers(0, side_px * 3 // 4, 2).tolist()
        width, height = chance.integers(side_px // 10, side_px // 3, 2).tolist()
        shape = (pen.ellipse, pen.rectangle)[int(chance.integers(2))]
        shape((x, y, x + width, y + height), tuple(chance.integers(0, 255, 3).tolist()))
    return np.asarray(picture)


def hatched(image: np.ndarray) -> np.ndarray:
    """Sepia, with dark diagonal lines where the picture is dark."""
    down, across = np.mgrid[: image.shape[0], : image.shape[1]]
    grey = image.mean(axis=2)
    lines = ((down + across) % 6 < 2) & (grey < 150)
    tones = np.where(lines, 30.0, np.clip(120 + grey / 2, 0, 255))
    return (tones[..., None] * np.array([1.0, 0.93, 0.8])).astype(np.uint8)


def write_hatched(folder: Path, count: int, side_px: int = 256) -> list[Path]:
    """PNG files `00.png`, ... of `count` motifs in the style."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{seed:02d}.png" for seed in range(count)]
    for seed, path in enumerate(paths):
        Image.fromarray(hatched(motif(seed, side_px))).save(path)
    return paths
