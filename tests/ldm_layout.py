"""Shapes of every tensor of a Stable Diffusion checkpoint in LDM layout, of the standard sizes or miniatures."""
from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

from personal_avatar.benchmarks.ldm_layout import (
    CLIP_L,
    OPEN_CLIP,
    STANDARD,
    STANDARD_SD2,
    STANDARD_SDXL,
    XL_CLIP_L,
    XL_OPEN_CLIP,
    Shapes,
    Size,
    Tower,
    shapes_of,
)

__all__ = [
    "CLIP_L", "OPEN_CLIP", "STANDARD", "STANDARD_SD2", "STANDARD_SDXL", "XL_CLIP_L", "XL_OPEN_CLIP", "Shapes", "Size",
    "Tower", "header_only", "shapes_of", "usual",
]


def usual(folder: Path) -> str:
    """A checkpoint of the size of Stable Diffusion 1.5 in `folder`, without weights; answers its title. One byte a
    number, as whoever chooses it waits for its hash."""
    folder.mkdir(parents=True, exist_ok=True)
    return header_only(folder / "usual.safetensors", shapes_of(STANDARD), ("F8_E4M3", 1)).stem


def header_only(
    path: Path, shapes: Mapping[str, tuple[int, ...]], number: tuple[str, int] = ("F16", 2)
) -> Path:
    """Write a safetensors file whose header is true and whose weights are a hole in it; answers `path`. `number`: its
    format, and the bytes of one."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + number[1] * math.prod(shape)
        entries[name] = {"dtype": number[0], "shape": shape, "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + end)
    return path
