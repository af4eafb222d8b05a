"""All portraits on one picture, best first, each with its likeness and style; above them what the numbers mean."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.domain import Likeness, Portrait
from personal_avatar.pictures import EDITED, save_picture
from personal_avatar.reports.content import Report
from personal_avatar.reports.letters import can_write, shortened, width_of, write
from personal_avatar.reports.tiles import ACCENT, CARD, GOOD, GROUND, INK, LOW, MUTED, square
from personal_avatar.wording import DEFAULT, score, share, text

COLUMNS = 6
TILE_PX, CAPTION_PX, GAP_PX, MARGIN_PX = 208, 46, 14, 32
HEADER_PX, PLAIN_HEADER_PX, SCALE_TOP_PX, PHOTO_PX = 176, 108, 122, 72
SHEET = 60  # pictures on one sheet, where there are more
WORDS = (
    *(f"report.{word}" for word in ("photos", "before", "after", "real", "faceless", "pictures", "sheet")),
    "results.restored",
)


def write_contact_sheet(report: Report, path: Path) -> Path:
    """Write the sheet as a PNG; answers `path`."""
    return save_picture(contact_sheet(report), path, source=EDITED)


def language_here(language: str) -> str:
    """`language` where a font here has the signs of what sheets say in it, else English."""
    return language if can_write("".join(text(key, language) for key in WORDS)) else DEFAULT


def contact_sheet(report: Report, first: int = 0) -> np.ndarray:
    """uint8 RGB; as high as the portraits need. `first`: the place of the first one among all, from 0."""
    from PIL import Image, ImageDraw

    language = language_here(report.language)
    columns = min(COLUMNS, max(4, len(report.portraits)))
    rows = -(-max(1, len(report.portraits)) // columns)
    width = 2 * MARGIN_PX + columns * (TILE_PX + GAP_PX) - GAP_PX
    header = HEADER_PX if report.likeness or report.photos else PLAIN_HEADER_PX
    height = header + MARGIN_PX + rows * (TILE_PX + CAPTION_PX + GAP_PX)
    sheet = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(sheet)
    _header(sheet, pen, report, language)
    for number, portrait in enumerate(report.portraits):
        x = MARGIN_PX + number % columns * (TILE_PX + GAP_PX)
        y = header + number // columns * (TILE_PX + CAPTION_PX + GAP_PX)
        _tile(sheet, pen, _Tile(first + number, portrait, report.style_name(portrait), x, y), language)
    return np.asarray(sheet)


def _header(sheet: Any, pen: Any, report: Report, language: str) -> None:
    """Title, the LoRA line, the scale of likeness, and some of the photos it was trained on."""
    write(pen, (MARGIN_PX, 26), shortened(report.title, 30, sheet.width * 0.55, bold=True), INK, 30, bold=True)
    line = report.network or report.subject
    write(pen, (MARGIN_PX, 70), shortened(line, 16, sheet.width * 0.55), MUTED, 16)
    if report.likeness is not None:
        _scale(pen, report.likeness, min(560, int(sheet.width * 0.5)), language)
    photos = list(report.photos.accepted[:6]) if report.photos else []
    left = sheet.width - MARGIN_PX - len(photos) * (PHOTO_PX + 8) + 8
    if photos:
        write(pen, (left, 28), text("report.photos", language), MUTED, 14)
    for number, photo in enumerate(photos):
        picture = square(photo.path, PHOTO_PX)
        if picture is not None:
            sheet.paste(picture, (left + number * (PHOTO_PX + 8), 52))


def _scale(pen: Any, likeness: Likeness, width: int, language: str) -> None:
    """A bar from the untrained model to the real photos, filled as far as the training went."""
    x, y = MARGIN_PX, SCALE_TOP_PX
    numbers = {"before": likeness.floor, "after": likeness.after, "real": likeness.ceiling}
    before, after, end = (f"{text(f'report.{name}', language)} {score(value)}" for name, value in numbers.items())
    pen.rounded_rectangle((x, y, x + width, y + 12), 6, CARD)
    reached = int(width * min(max(likeness.recovered, 0.0), 1.0))
    if reached > 12:
        pen.rounded_rectangle((x, y, x + reached, y + 12), 6, ACCENT)
    write(pen, (x, y + 19), before, MUTED, 14)
    _centred(pen, x + width // 2, y - 26, f"{after}  ({share(likeness.recovered)})", 16, INK)
    write(pen, (x + width - width_of(end, 14), y + 19), end, MUTED, 14)


@dataclass(frozen=True)
class _Tile:
    """One portrait at its place."""

    number: int
    portrait: Portrait
    style: str
    x: int
    y: int


def _tile(sheet: Any, pen: Any, tile: _Tile, language: str) -> None:
    bottom = tile.y + TILE_PX + CAPTION_PX
    pen.rounded_rectangle((tile.x, tile.y, tile.x + TILE_PX - 1, bottom - 1), 10, CARD)
    picture = square(tile.portrait.restored or tile.portrait.path, TILE_PX - 12)
    if picture is not None:
        sheet.paste(picture, (tile.x + 6, tile.y + 6))
    likeness = tile.portrait.scores.get("restored", tile.portrait.likeness)
    told = score(likeness) if likeness is not None else text("report.faceless", language)
    colour = LOW if likeness is None else GOOD if tile.number < 4 else INK
    left = tile.x + 10
    write(pen, (left, tile.y + TILE_PX + 1), f"{tile.number + 1}", MUTED, 15)
    write(pen, (left + 30, tile.y + TILE_PX - 1), told, colour, 17, bold=True)
    if tile.portrait.restored is not None:
        mark = text("results.restored", language)
        write(pen, (tile.x + TILE_PX - 10 - width_of(mark, 12), tile.y + TILE_PX + 3), mark, ACCENT, 12)
    write(pen, (left + 30, tile.y + TILE_PX + 23), shortened(tile.style, 13, TILE_PX - 56), MUTED, 13)


def _centred(pen: Any, x: int, y: int, told: str, size_px: int, colour: tuple[int, int, int]) -> None:
    write(pen, (x - width_of(told, size_px) / 2, y), told, colour, size_px)
