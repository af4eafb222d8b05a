"""Shapes of every tensor of a Stable Diffusion checkpoint in LDM layout, of the standard sizes or miniatures."""
from __future__ import annotations

import json
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
    "Tower", "header_only", "shapes_of",
]


def header_only(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """Write a safetensors file whose header is true and whose weights are missing; answers `path`."""
    entry = {"dtype": "F16", "data_offsets": [0, 0]}
    header = json.dumps({name: {**entry, "shape": shape} for name, shape in shapes.items()}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path
