"""Draw the training set: shards of random characters, one picture each, so that no identity is learned by heart."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np

from .characters import STYLES, attributes, random_character, random_shot
from .drawing import draw
from .models import RESOLUTION_PX

log = logging.getLogger(__name__)
SHARD = 250
MOVEMENT = 0.35
"""Portraits that sit still are learned several times faster; the VAE, which sees every pose as texture, does not
care.
"""


def draw_shard(folder: Path, index: int, count: int = SHARD, size_px: int = RESOLUTION_PX) -> Path:
    """Drawings number index * SHARD and on. Does nothing when the shard is finished; the landmarks' file is written
    last.
    """
    path = folder / f"drawings-{index:03d}.npy"
    finished = path.with_suffix(".landmarks.npy")
    if finished.exists():
        return path
    pictures, landmarks, lines = (
        np.empty((count, size_px, size_px, 3), np.uint8),
        np.empty((count, 5, 2), np.float32),
        [],
    )
    for place in range(count):
        seed = index * SHARD + place
        character, shot = random_character(seed), random_shot(seed, MOVEMENT, style=STYLES[seed % len(STYLES)])
        drawing = draw(character, shot, size_px)
        pictures[place], landmarks[place] = drawing.picture, drawing.landmarks_px
        lines.append(json.dumps(attributes(character, shot)))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(path, pictures)
    path.with_suffix(".jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    np.save(finished, landmarks)
    log.info("%s: %d drawings", path.name, count)
    return path


def draw_set(folder: Path, count: int, part: int = 0, parts: int = 1) -> None:
    """All shards of a set of `count` drawings, or every `parts`-th of them, so that several processes can share the
    work.
    """
    for index in range(part, -(-count // SHARD), parts):
        draw_shard(folder, index)
