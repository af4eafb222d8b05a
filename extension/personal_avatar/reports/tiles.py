"""What the sheets of pictures have in common: their colours, and pictures cut to a square."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from personal_avatar.errors import UnreadablePhoto
from personal_avatar.pictures import load_picture

GROUND, CARD, INK, MUTED = (20, 22, 27), (32, 35, 43), (240, 241, 244), (158, 164, 176)
ACCENT, GOOD, LOW = (94, 158, 255), (88, 196, 130), (120, 124, 134)


def square(path: Path, side_px: int) -> Any:
    """The middle square of a picture at `side_px`; None when the file is gone or damaged."""
    from PIL import Image, ImageOps

    try:
        picture = Image.fromarray(load_picture(path))
    except UnreadablePhoto:
        return None
    return ImageOps.fit(picture, (side_px, side_px), Image.Resampling.LANCZOS)
