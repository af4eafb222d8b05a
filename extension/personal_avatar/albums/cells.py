"""Cells of tables that somebody opens in a spreadsheet."""
from __future__ import annotations

from personal_avatar.storage import legible

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(text: str) -> str:
    """The same, legible, with an apostrophe before what a spreadsheet would take for a formula and reckon out, spaces
    before it or not."""
    text = legible(text)
    return f"'{text}" if text.startswith(FORMULAS) or text.lstrip().startswith(FORMULAS) else text
