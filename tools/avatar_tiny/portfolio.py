"""Drawings on disk: shards of pictures with their landmarks and attributes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Shard:
    """Files that share a stem: `NAME.npy` uint8 [n, h, w, 3] RGB, `NAME.landmarks.npy` float32 [n, 5, 2] px,
    `NAME.jsonl`.
    """

    pictures: np.ndarray
    landmarks_px: np.ndarray
    attributes: list[dict[str, Any]]


def read_attributes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_shard(path: Path) -> Shard:
    """A finished shard, pictures mapped and not loaded. Raises FileNotFoundError when one of its three files is
    missing.
    """
    landmarks_px = np.load(path.with_suffix(".landmarks.npy"))
    return Shard(np.load(path, mmap_mode="r"), landmarks_px, read_attributes(path.with_suffix(".jsonl")))


def read_shards(folder: Path) -> list[Shard]:
    """All finished shards of a folder, by name; landmarks are written last, so that their file marks the end.

    Raises FileNotFoundError when there is none.
    """
    names = sorted(path.name.removesuffix(".landmarks.npy") for path in folder.glob("*.landmarks.npy"))
    if not names:
        raise FileNotFoundError(f"no drawings in {folder}: run `python -m tools.avatar_tiny draw` first")
    return [read_shard(folder / f"{name}.npy") for name in names]
