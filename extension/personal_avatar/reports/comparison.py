"""Several methods for one person side by side: one table of numbers and one sheet of the same prompts and seeds.

A row is a training, or what the photos alone do (`ONE_PHOTO`), also one that failed: it says why.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np

from personal_avatar.domain import ONE_PHOTO
from personal_avatar.errors import AvatarError, from_json
from personal_avatar.pictures import EDITED, save_picture
from personal_avatar.reports.letters import font
from personal_avatar.reports.tiles import GROUND, INK, MUTED, square
from personal_avatar.wording import DEFAULT, memory, score, share, size, span, trained_by

TILE_PX, GAP_PX, MARGIN_PX, NAME_PX, LABEL_PX = 192, 10, 28, 300, 30
LINE_PX, LETTER_PX = 20, 8  # of the sentences below
MEASURED = ("likeness", "resemblance")  # of a person, of a style
NUMBERS = (*MEASURED, "recovered", "prompt_following", "diversity", "leakage")
COSTS = ("seconds", "peak_memory_gb", "file_mb")
PLACE = ("dataset_fingerprint", "base")
JUDGED_BY = ("guidance", "sample_steps", "score_pictures")  # settings: of other pictures other numbers are told
FAILED = "failed"
ERROR_LINES = 8  # that have room beside a row of pictures
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


def comparison_sheet(title: str, rows: Sequence[Row]) -> np.ndarray:
    """uint8 RGB: a line a training, its numbers on the left, its pictures on the right."""
    from PIL import Image, ImageDraw

    columns = max((len(row.pictures) for row in rows), default=1)
    width = 2 * MARGIN_PX + NAME_PX + columns * (TILE_PX + GAP_PX)
    told = [line for note in notes(rows) for line in wrap(note, (width - 2 * MARGIN_PX) // LETTER_PX)]
    top = MARGIN_PX + 2 * LABEL_PX
    bottom = top + len(rows) * (TILE_PX + GAP_PX)
    sheet = Image.new("RGB", (width, bottom + len(told) * LINE_PX + MARGIN_PX), GROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN_PX, MARGIN_PX), title, INK, font(24, bold=True))
    for number, row in enumerate(rows):
        _line(sheet, pen, row, top + number * (TILE_PX + GAP_PX))
    for number, line in enumerate(told):
        pen.text((MARGIN_PX, bottom + GAP_PX + number * LINE_PX), line, MUTED, font(14))
    return np.asarray(sheet)


def _line(sheet: Any, pen: Any, row: Row, y: int) -> None:
    pen.text((MARGIN_PX, y + 4), row.named(), INK, font(18, bold=True))
    if row.error is not None:
        fits = (sheet.width - 2 * MARGIN_PX) // LETTER_PX
        for number, line in enumerate(wrap(row.failure, fits, max_lines=ERROR_LINES, placeholder=" ...")):
            pen.text((MARGIN_PX, y + 32 + number * LINE_PX), line, MUTED, font(14))
        return
    for number, name in enumerate(columns([row])):
        place = y + 32 + number * 19
        pen.text((MARGIN_PX, place), name.replace("_", " "), MUTED, font(14))
        pen.text((MARGIN_PX + 160, place), spoken(name, row.numbers[name]), INK, font(14))
    for number, path in enumerate(row.pictures):
        picture = square(path, TILE_PX)
        if picture is not None:
            sheet.paste(picture, (MARGIN_PX + NAME_PX + number * (TILE_PX + GAP_PX), y))
