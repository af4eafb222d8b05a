"""The methods of a comparison as one picture: their numbers, and their pictures of the same prompts and seeds."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import zip_longest
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.errors import AvatarError, UnreadablePhoto
from personal_avatar.pictures import EDITED, infotext_of, save_picture
from personal_avatar.reports.comparison import HEADS, Row, columns, notes, spoken
from personal_avatar.reports.letters import can_write, shortened, width_of, wrapped, write
from personal_avatar.reports.tiles import GROUND, INK, MUTED, square
from personal_avatar.wording import DEFAULT, has, text

TILE_PX, GAP_PX, MARGIN_PX, NAME_PX, LABEL_PX = 192, 10, 28, 300, 30
TITLE_PX, TEXT_PX, LINE_PX = 24, 14, 20  # height of letters, and of a line of text
NAMES_PX = (18, 14)  # height of a row's name; the smaller one where it is long
HEAD_PX, HEAD_LINES, HEAD_LINE_PX = 12, 3, 15
NUMBER_PX = 18  # height of a line of numbers: nine have room beside a row of pictures
ERROR_LINES = 8  # that have room beside a row of pictures
SEED = "\nSeed: "  # in what a picture says of its making
ELSEWHERE = "…"  # in place of what rows have each of their own in a prompt
NOTE_LINES = 20
NUMBERS_PX = 200  # from a row's left edge to its numbers
SHORT_HEADS = {**HEADS, "resemblance": "report.resemblance"}  # as wide as there is room for


def write_comparison_sheet(title: str, rows: Sequence[Row], path: Path) -> Path:
    """Write the sheet as a PNG, in English; answers `path`."""
    return save_picture(comparison_sheet(title, rows), path, source=EDITED)


def picture_heads(rows: Sequence[Row]) -> list[str]:
    """What each column of pictures was asked for, and its seed, in the words that all rows share: they differ in what
    stands for the person. "" for pictures that do not say it."""
    asked = [[_asked(path) for path in row.pictures] for row in rows]
    return [_shared([said for said in column if said]) for column in zip_longest(*asked, fillvalue="")]


def _asked(path: Path) -> str:
    try:
        return _asked_in(path, path.stat().st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=512)
def _asked_in(path: Path, changed_ns: int) -> str:
    """"a portrait of sks man, seed 1000": what trainings write into their pictures."""
    try:
        said = infotext_of(path).split(SEED)
    except UnreadablePhoto:
        return ""
    return " ".join(", seed ".join(said).split())


def _shared(prompts: Sequence[str]) -> str:
    """The words at the beginning and at the end that are the same in all."""
    words = [prompt.split() for prompt in prompts]
    first = commonprefix(words)
    rests = [one[len(first) :] for one in words]
    last = commonprefix([rest[::-1] for rest in rests])[::-1]
    between = [ELSEWHERE] if any(len(rest) > len(last) for rest in rests) else []
    return " ".join([*first, *between, *last])


def comparison_sheet(title: str, rows: Sequence[Row], language: str = DEFAULT) -> np.ndarray:
    """uint8 RGB: a line a training, its numbers on the left, its pictures on the right, above them their prompts. In
    English where no font here has the signs of the language; what errors say stays as they say it."""
    from PIL import Image, ImageDraw

    language = language if can_write("".join(_words(rows, language))) else DEFAULT
    count, heads = max((len(row.pictures) for row in rows), default=1), picture_heads(rows)
    width = 2 * MARGIN_PX + NAME_PX + count * (TILE_PX + GAP_PX)
    room = width - 2 * MARGIN_PX
    told = [line for note in notes(rows, language) for line in wrapped(note, TEXT_PX, room, NOTE_LINES)]
    top = MARGIN_PX + 2 * LABEL_PX + (HEAD_LINES * HEAD_LINE_PX if any(heads) else 0)
    bottom = top + len(rows) * (TILE_PX + GAP_PX)
    sheet = Image.new("RGB", (width, bottom + len(told) * LINE_PX + MARGIN_PX), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (MARGIN_PX, MARGIN_PX), shortened(title, TITLE_PX, room, bold=True), INK, TITLE_PX, bold=True)
    _heads(pen, heads, top)
    for number, row in enumerate(rows):
        _line(sheet, pen, row, top + number * (TILE_PX + GAP_PX), language)
    _lines(pen, told, bottom + GAP_PX)
    return np.asarray(sheet)


def _words(rows: Sequence[Row], language: str) -> list[str]:
    """All that the sheet says in a language."""
    heads = [text(key, language) for key in SHORT_HEADS.values()]
    return [*heads, *(row.named(language) for row in rows), *notes(rows, language)]


def _heads(pen: Any, heads: Sequence[str], bottom: int) -> None:
    for number, head in enumerate(heads):
        lines = wrapped(head, HEAD_PX, TILE_PX, HEAD_LINES)
        top = bottom - GAP_PX // 2 - len(lines) * HEAD_LINE_PX
        for at, line in enumerate(lines):
            write(pen, (_left(number), top + at * HEAD_LINE_PX), line, MUTED, HEAD_PX)


def _left(number: int) -> int:
    """Where the column of pictures begins, in pixels."""
    return MARGIN_PX + NAME_PX + number * (TILE_PX + GAP_PX)


def _lines(pen: Any, lines: Sequence[str], top: int) -> None:
    for number, line in enumerate(lines):
        write(pen, (MARGIN_PX, top + number * LINE_PX), line, MUTED, TEXT_PX)


def _line(sheet: Any, pen: Any, row: Row, y: int, language: str) -> None:
    room = sheet.width - 2 * MARGIN_PX if row.error else NAME_PX - GAP_PX
    called = row.named(language)
    letters_px = next((size for size in NAMES_PX if width_of(called, size, bold=True) <= room), NAMES_PX[-1])
    write(pen, (MARGIN_PX, y + 4), shortened(called, letters_px, room, bold=True), INK, letters_px, bold=True)
    if row.error is not None:
        _lines(pen, _failure(row.error, room, language), y + 32)
        return
    for number, name in enumerate(columns([row])):
        place = y + 32 + number * NUMBER_PX
        head = shortened(text(SHORT_HEADS[name], language), TEXT_PX, NUMBERS_PX - GAP_PX)
        write(pen, (MARGIN_PX, place), head, MUTED, TEXT_PX)
        write(pen, (MARGIN_PX + NUMBERS_PX, place), spoken(name, row.numbers[name], language), INK, TEXT_PX)
    for number, path in enumerate(row.pictures):
        picture = square(path, TILE_PX)
        if picture is not None:
            sheet.paste(picture, (_left(number), y))


def _failure(error: AvatarError, room_px: int, language: str) -> list[str]:
    """What happened, as far as there is room beside what to do, which is told to its end; in another language than
    English first what kind of failure it is."""
    key = f"error.{error.code}.title"
    title = [shortened(text(key, language), TEXT_PX, room_px)] if language != DEFAULT and has(key) else []
    hint = wrapped(error.hint, TEXT_PX, room_px, ERROR_LINES - 1 - len(title))
    return [*title, *wrapped(error.message, TEXT_PX, room_px, ERROR_LINES - len(title) - len(hint)), *hint]
