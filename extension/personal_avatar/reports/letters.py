"""Text on pictures with whatever font there is: DejaVu or a system font, else the one inside Pillow."""
from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

NAMES = ("DejaVuSans", "NotoSans-Regular", "LiberationSans-Regular", "Arial", "Helvetica", "segoeui")
BOLD_NAMES = ("DejaVuSans-Bold", "NotoSans-Bold", "LiberationSans-Bold", "Arial Bold", "arialbd", "segoeuib")


@lru_cache(maxsize=64)
def font(size_px: int, bold: bool = False) -> Any:
    """A Pillow font of about `size_px`; without any TrueType font, old versions of Pillow have a small fixed one."""
    from PIL import ImageFont

    for name in _candidates(bold):
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    try:
        return ImageFont.load_default(size_px)
    except TypeError:
        return ImageFont.load_default()


def _candidates(bold: bool) -> list[str]:
    """Files to try; matplotlib, which gradio brings along, carries DejaVu."""
    names = BOLD_NAMES if bold else NAMES
    found = importlib.util.find_spec("matplotlib")
    origin = Path(found.origin).parent if found and found.origin else None
    carried = [str(origin / "mpl-data" / "fonts" / "ttf" / f"{names[0]}.ttf")] if origin else []
    return [*carried, *(f"{name}.ttf" for name in names)]


def width_of(text: str, size_px: int, bold: bool = False) -> float:
    """Pixels that `text` takes in a line."""
    return float(font(size_px, bold).getlength(text))


def shortened(text: str, size_px: int, room_px: float) -> str:
    """`text`, cut with an ellipsis when it is wider than `room_px`."""
    if width_of(text, size_px) <= room_px:
        return text
    while text and width_of(text + "...", size_px) > room_px:
        text = text[:-1]
    return text.rstrip() + "..."
