"""Shapes of every tensor of a Stable Diffusion checkpoint in LDM layout, of the standard sizes or miniatures."""
from __future__ import annotations

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
    "Tower", "shapes_of",
]
