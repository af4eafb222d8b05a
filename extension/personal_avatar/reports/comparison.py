"""Several methods for one person side by side: one table of numbers and one sheet of the same prompts and seeds.

A row is a training, or what the photos alone do (`ONE_PHOTO`), also one that failed: it says why.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.domain import ONE_PHOTO
from personal_avatar.errors import AvatarError, UnreadablePhoto, from_json
from personal_avatar.pictures import EDITED, infotext_of, save_picture
from personal_avatar.reports.letters import shortened, width_of, wrapped, write
from personal_avatar.reports.tiles import GROUND, INK, MUTED, square
from personal_avatar.wording import DEFAULT, memory, score, share, size, span, trained_by

TILE_PX, GAP_PX, MARGIN_PX, NAME_PX, LABEL_PX = 192, 10, 28, 300, 30
TITLE_PX, TEXT_PX, LINE_PX = 24, 14, 20  # height of letters, and of a line of text
NAMES_PX = (18, 14)  # height of a row's name; the smaller one where it is long
HEAD_PX, HEAD_LINES, HEAD_LINE_PX = 12, 3, 15
MEASURED = ("likeness", "resemblance")  # of a person, of a style
NUMBERS = (*MEASURED, "recovered", "prompt_following", "diversity", "leakage")
COSTS = ("seconds", "peak_memory_gb", "file_mb")
PLACE = ("dataset_fingerprint", "base")
JUDGED_BY = ("guidance", "sample_steps", "score_pictures")  # settings: of other pictures other numbers are told
FAILED = "failed"
ERROR_LINES = 8  # that have room beside a row of pictures
SEED = "\nSeed: "  # in what a picture says of its making
ELSEWHERE = "…"  # in place of what rows have each of their own in a prompt
NOTE_LINES = 20
NOTE = (
    "Photos alone: nothing is trained and no file is made. Their time goes from the photos to the pictures, loading "
    "checkpoint and networks included. Their leakage is measured with the photos in use: whoever the prompt names then "
    "gets the face. They are measured on this machine also where trainings run on a cluster: time and memory are then "
    "those of two machines."
)
FORMS: dict[str, Callable[[float | None], str]] = {
    "recovered": share, "prompt_following": share, "diversity": share, "peak_memory_gb": memory, "file_mb": size,
}


@dataclass(frozen=True)
class Row:
    """One method. `numbers` by name, None for what was not measured; `pictures`: the same prompts in every row. `file`:
    "" where none is made. `error`: why it has neither."""

    method: str
    engine: str
    numbers: Mapping[str, float | None]
    file: str
    pictures: tuple[Path, ...] = ()
    error: AvatarError | None = None

    def named(self, language: str = DEFAULT) -> str:
        """The method and, where that is not ours, the engine."""
        return trained_by(self.method, self.engine, language)

    @property
    def failure(self) -> str:
        """What happened and what to do, in English; "" where nothing did."""
        return f"{self.error.message} {self.error.hint}".strip() if self.error else ""


def row_of(result: Mapping[str, Any]) -> Row:
    """From the result document of a training, or of what photos alone do; of one that failed it has `method`, `engine`
    and `error`, as the job keeps it."""
    measured = {name: result.get(name) or {} for name in MEASURED}
    numbers = {name: result.get(name) for name in (*NUMBERS, *COSTS)}
    numbers |= {name: found.get("after") for name, found in measured.items()}
    numbers["recovered"] = next((found["recovered"] for found in measured.values() if "recovered" in found), None)
    pictures = tuple(Path(path) for path in result.get("samples", ()))
    file = next((Path(path).name for path in result.get("files", ())), "")
    error = from_json(result["error"]) if result.get("error") else None
    return Row(result["method"], result["engine"], numbers, file, pictures, error)


def comparable(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Of results, the newest first, those in the place of the newest (`place_of`); one of each method and engine, best
    first."""
    alike = [row_of(result) for result in results if place_of(result) == place_of(results[0]) and "method" in result]
    newest = {row.named(): row for row in reversed(alike)}
    return best_first(list(newest.values()))


def place_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What results must share to be compared: photos, checkpoint, and how pictures of them were made."""
    plan = result.get("plan") or {}
    return {**{name: result.get(name) for name in PLACE}, "plan": {name: plan.get(name) for name in JUDGED_BY}}


def best_first(rows: Sequence[Row]) -> list[Row]:
    """By the share of the likeness, or of the resemblance, that was recovered; then what was not measured, then what
    failed."""
    def behind(row: Row) -> tuple[bool, float]:
        recovered = row.numbers["recovered"]
        return row.error is not None, float("inf") if recovered is None else -recovered

    return sorted(rows, key=behind)


def to_document(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table as JSON."""
    return [
        {
            "method": row.method, "engine": row.engine, "file": row.file, **row.numbers,
            "error": row.error.to_json() if row.error else None,
        }
        for row in rows
    ]


def notes(rows: Sequence[Row]) -> list[str]:
    """What has to be known to read the table."""
    return [NOTE] if any(row.method == ONE_PHOTO and row.error is None for row in rows) else []


def columns(rows: Sequence[Row]) -> tuple[str, ...]:
    """Names of the numbers that are shown: likeness or resemblance, whichever was measured; likeness without either."""
    seen = {name for name in MEASURED for row in rows if row.numbers[name] is not None} or {MEASURED[0]}
    return tuple(name for name in (*NUMBERS, *COSTS) if name not in MEASURED or name in seen)


def table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table as words, heads first. Why a method failed stands in a last column, which is there only then."""
    names, failed = columns(rows), any(row.error for row in rows)
    heads = ("method", *(name.replace("_", " ") for name in names), *((FAILED,) if failed else ()))
    return [heads, *(
        (row.named(), *(spoken(name, row.numbers[name]) for name in names), *((row.failure,) if failed else ()))
        for row in rows
    )]


def spoken(name: str, value: float | None, language: str = DEFAULT) -> str:
    """A number as it is read: shares as per cent, times and sizes with their unit."""
    return span(value, language) if name == "seconds" else FORMS.get(name, score)(value)


def write_comparison_sheet(title: str, rows: Sequence[Row], path: Path) -> Path:
    """Write the sheet as a PNG; answers `path`."""
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


def comparison_sheet(title: str, rows: Sequence[Row]) -> np.ndarray:
    """uint8 RGB: a line a training, its numbers on the left, its pictures on the right, above them their prompts."""
    from PIL import Image, ImageDraw

    count, heads = max((len(row.pictures) for row in rows), default=1), picture_heads(rows)
    width = 2 * MARGIN_PX + NAME_PX + count * (TILE_PX + GAP_PX)
    room = width - 2 * MARGIN_PX
    told = [line for note in notes(rows) for line in wrapped(note, TEXT_PX, room, NOTE_LINES)]
    top = MARGIN_PX + 2 * LABEL_PX + (HEAD_LINES * HEAD_LINE_PX if any(heads) else 0)
    bottom = top + len(rows) * (TILE_PX + GAP_PX)
    sheet = Image.new("RGB", (width, bottom + len(told) * LINE_PX + MARGIN_PX), GROUND)
    pen = ImageDraw.Draw(sheet)
    write(pen, (MARGIN_PX, MARGIN_PX), shortened(title, TITLE_PX, room, bold=True), INK, TITLE_PX, bold=True)
    _heads(pen, heads, top)
    for number, row in enumerate(rows):
        _line(sheet, pen, row, top + number * (TILE_PX + GAP_PX))
    _lines(pen, told, bottom + GAP_PX)
    return np.asarray(sheet)


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


def _line(sheet: Any, pen: Any, row: Row, y: int) -> None:
    room = sheet.width - 2 * MARGIN_PX if row.error else NAME_PX - GAP_PX
    letters_px = next((size for size in NAMES_PX if width_of(row.named(), size, bold=True) <= room), NAMES_PX[-1])
    write(pen, (MARGIN_PX, y + 4), shortened(row.named(), letters_px, room, bold=True), INK, letters_px, bold=True)
    if row.error is not None:
        _lines(pen, _failure(row.error, room), y + 32)
        return
    for number, name in enumerate(columns([row])):
        place = y + 32 + number * 19
        write(pen, (MARGIN_PX, place), name.replace("_", " "), MUTED, TEXT_PX)
        write(pen, (MARGIN_PX + 160, place), spoken(name, row.numbers[name]), INK, TEXT_PX)
    for number, path in enumerate(row.pictures):
        picture = square(path, TILE_PX)
        if picture is not None:
            sheet.paste(picture, (_left(number), y))


def _failure(error: AvatarError, room_px: int) -> list[str]:
    """What happened, as far as there is room beside what to do, which is told to its end."""
    hint = wrapped(error.hint, TEXT_PX, room_px, ERROR_LINES - 1)
    return [*wrapped(error.message, TEXT_PX, room_px, ERROR_LINES - len(hint)), *hint]
