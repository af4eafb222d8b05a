"""Several methods for one person side by side, in one table, the best first; the sheet is in comparison_sheet.py.

A row is a training, or what the photos alone do (`ONE_PHOTO`), also one that failed: it says why.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from personal_avatar.domain import MEASURED, ONE_PHOTO, Likeness, Scores
from personal_avatar.domain.merit import merit, side_by_side
from personal_avatar.errors import AvatarError, from_json
from personal_avatar.wording import DEFAULT, memory, score, share, size, span, text, trained_by

NUMBERS = (*MEASURED, "recovered", "prompt_following", "diversity", "leakage", "merit")
SPAN = ("floor", "ceiling")  # from where to where recovered is counted, the same for all
COSTS = ("seconds", "peak_memory_gb", "file_mb")
PLACE = ("dataset_fingerprint", "base")
JUDGED_BY = ("guidance", "sample_steps", "score_pictures")  # settings: of other pictures other numbers are told
FAILED = "failed"
DIGITS = 4  # of numbers in documents
HEADS = {
    "likeness": "likeness.after", "resemblance": "compare.resemblance", "recovered": "report.recovered",
    "prompt_following": "report.following", "diversity": "report.diversity", "leakage": "report.leakage",
    "merit": "report.merit", "seconds": "estimate.time", "peak_memory_gb": "estimate.memory_gb",
    "file_mb": "estimate.file_mb",
}
FORMS: dict[str, Callable[[float | None], str]] = {
    "recovered": share, "prompt_following": share, "diversity": share, "peak_memory_gb": memory, "file_mb": size,
}


@dataclass(frozen=True)
class Row:
    """One method. `numbers` by name, None for what was not measured; `pictures`: the same prompts in every row, but for
    what stands for the person. `file`: "" where none is made. `error`: why it has neither. `scores`: as the method
    itself counts."""

    method: str
    engine: str
    numbers: Mapping[str, float | None]
    file: str
    pictures: tuple[Path, ...] = ()
    error: AvatarError | None = None
    scores: Scores | None = None

    def named(self, language: str = DEFAULT) -> str:
        """The method and, where that is not ours, the engine."""
        return trained_by(self.method, self.engine, language)

    @property
    def is_unmeasured(self) -> bool:
        """Whether it was cut short, or there was no room for it, and what was made until then was kept."""
        return self.scores is None and self.error is None

    @property
    def failure(self) -> str:
        """What happened and what to do, in English; "" where nothing did."""
        return f"{self.error.message} {self.error.hint}".strip() if self.error else ""


def row_of(result: Mapping[str, Any]) -> Row:
    """From the result document of a training, or of what photos alone do; of one that failed it has `method`, `engine`
    and `error`, as the job keeps it."""
    numbers = {name: result.get(name) for name in (*NUMBERS, *SPAN, *COSTS)}
    numbers |= {name: (result.get(name) or {}).get("after") for name in MEASURED}
    pictures = tuple(Path(path) for path in result.get("samples", ()))
    file = next((Path(path).name for path in result.get("files", ())), "")
    error = from_json(result["error"]) if result.get("error") else None
    return Row(result["method"], result["engine"], numbers, file, pictures, error, scores_in(result))


def scores_in(result: Mapping[str, Any]) -> Scores | None:
    """What a result document says of likeness, or of resemblance; None where neither was measured."""
    found = next((result[name] for name in MEASURED if result.get(name)), None)
    if found is None:
        return None
    likeness = Likeness(found["floor"], found["after"], found["ceiling"], result.get("leakage"))
    return Scores(likeness, result.get("prompt_following"), result.get("prompt_following_before"))


def comparable(results: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Of results, the newest first, those in the place of the newest (`place_of`); one of each method and engine, best
    first: the newest, unless that was not measured and another one was."""
    alike = [row_of(result) for result in results if place_of(result) == place_of(results[0]) and "method" in result]
    of_each: dict[str, Row] = {}
    for row in alike:
        known = of_each.setdefault(row.named(), row)
        if known.is_unmeasured and row.scores is not None:
            of_each[row.named()] = row
    return best_first(list(of_each.values()))


def place_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """What results must share to be compared: photos, checkpoint, and how pictures of them were made."""
    plan = result.get("plan") or {}
    return {**{name: result.get(name) for name in PLACE}, "plan": {name: plan.get(name) for name in JUDGED_BY}}


def best_first(rows: Sequence[Row]) -> list[Row]:
    """By merit (domain/merit.py), all counted from one beginning; then what was not measured, then what failed."""
    measured = [row for row in rows if row.scores is not None]
    counted = side_by_side([row.scores for row in measured if row.scores is not None])
    known = {id(row): _counted(row, scores) for row, scores in zip(measured, counted, strict=True)}

    def behind(row: Row) -> tuple[bool, float]:
        worth = row.numbers["merit"]
        return row.error is not None, float("inf") if worth is None else -worth

    return sorted((known.get(id(row), row) for row in rows), key=behind)


def _counted(row: Row, scores: Scores) -> Row:
    likeness = scores.likeness
    found = {
        "recovered": likeness.recovered, "merit": merit(scores), "floor": likeness.floor, "ceiling": likeness.ceiling,
    }
    return replace(row, numbers={**row.numbers, **{name: round(value, DIGITS) + 0.0 for name, value in found.items()}})


def to_document(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The table as JSON."""
    return [
        {
            "method": row.method, "engine": row.engine, "file": row.file, **row.numbers,
            "error": row.error.to_json() if row.error else None,
        }
        for row in rows
    ]


def notes(rows: Sequence[Row], language: str = DEFAULT) -> list[str]:
    """What has to be known to read the table: by what the rows are put in order, where there is an order, and how to
    read that of the photos alone."""
    order = "compare.order" if _of_person(rows) else "compare.order.resemblance"
    counted = {name: score(value) for name, value in span_of(rows).items()}
    has_alone = any(row.method == ONE_PHOTO and row.error is None for row in rows)
    return [
        *([text(order, language, **counted)] if counted else []),
        *([text("compare.note", language)] if has_alone else []),
    ]


def _of_person(rows: Sequence[Row]) -> bool:
    """Whether likeness was measured, not the resemblance of a style or an animal."""
    return MEASURED[0] in columns(rows)


def span_of(rows: Sequence[Row]) -> dict[str, float]:
    """From where to where `recovered` is counted (`SPAN`); empty where there is no order of several that says so."""
    measured = [row.numbers for row in rows if row.scores is not None]
    return {name: measured[0][name] or 0.0 for name in SPAN} if len(measured) > 1 else {}


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
