"""The training's own report: why this checkpoint, and `report.html` and `report.json` with everything that is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personal_avatar.domain import NO_RECOVERY, RESEMBLANCE, Advice
from personal_avatar.domain.merit import kept
from personal_avatar.reports.parts import style_sheet
from personal_avatar.reports.training_page import page
from personal_avatar.storage import write_bytes, write_json
from personal_avatar.training.results.document import MeasuredStep, Numbers, without_minus
from personal_avatar.wording import table, told

CLEARLY = 0.005  # more alike
CODES = (
    "ONE", "ONE_JUDGED", "UNJUDGED", "STYLE", "LIKENESS", "NO_GAIN", "RECOVERED", "MORE_ALIKE", "MORE_ALIKE_STYLE",
    "NEXT_BEST",
)  # fmt: skip


def make_ready() -> None:
    """What reports are made of is read, before an update takes it away."""
    table()
    style_sheet()


def write_report(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write `report.json` with `facts` and the page that shows them into `folder`; answers the page's path."""
    write_json(folder / "report.json", facts)
    path = folder / "report.html"
    write_bytes(path, page(facts).encode("utf-8"))
    return path


def choice(document: Mapping[str, Any]) -> list[Advice]:
    """Which checkpoint was published and why, and what there was beside it; `document`: the result of a training
    (outcome.py)."""
    numbers = Numbers(document)
    points, best = numbers.points, numbers.best
    if best is None:
        return []
    count = len(numbers.saved)
    if count == 1:
        return [_said("ONE", step=best.step)]
    if not points:
        return [_said("UNJUDGED", step=best.step, count=count)]
    if len(points) == 1:
        return [_said("ONE_JUDGED", step=best.step, count=count)]
    return [_why(numbers, best), *_instead(points, best, numbers.kind)]


def _said(code: str, **values: Any) -> Advice:
    return told("choice", code, **without_minus(values))


def _why(numbers: Numbers, best: MeasuredStep) -> Advice:
    of = {"step": best.step, "count": len(numbers.points)}
    if numbers.kind == RESEMBLANCE:
        return _said("STYLE", **of, resemblance=best.likeness, following=best.following, merit=best.merit)
    recovered = numbers.recovered_in_choice
    if recovered is None:
        return _said("LIKENESS", **of, likeness=best.likeness, following=best.following)
    if recovered < NO_RECOVERY:
        return _said("NO_GAIN", **of)
    obedient = kept(best.following, numbers.at("untrained", "following"))
    return _said("RECOVERED", **of, recovered=recovered, obedience=obedient, leakage=best.leakage, merit=best.merit)


def _instead(points: list[MeasuredStep], best: MeasuredStep, kind: str) -> list[Advice]:
    """The one that is more alike and yet not better, else the second best."""
    others = [point for point in points if point.step != best.step]
    if not others:
        return []
    alike = max(others, key=lambda point: point.likeness)
    if alike.likeness > best.likeness + CLEARLY:
        code = "MORE_ALIKE_STYLE" if kind == RESEMBLANCE else "MORE_ALIKE"
        more = {"step": alike.step, "alike": alike.likeness, "following": alike.following, "leakage": alike.leakage}
        chosen = {"alike": best.likeness, "following": best.following, "leakage": best.leakage}
        return [_said(code, **more, **{f"chosen_{name}": value for name, value in chosen.items()})]
    second = max(others, key=lambda point: point.merit)
    return [_said("NEXT_BEST", step=second.step, merit=second.merit)]
