"""The training's own report: why this checkpoint, and `report.html` and `report.json` with everything that is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personal_avatar.reports.training_page import page
from personal_avatar.storage import write_bytes, write_json
from personal_avatar.training.result_numbers import RESEMBLANCE, Numbers, Point

NO_RECOVERY = 0.01  # of the way: below it a share of it means nothing
CLEARLY = 0.005  # more alike


def write_report(folder: Path, facts: Mapping[str, Any]) -> Path:
    """Write `report.json` with `facts` and the page that shows them into `folder`; answers the page's path."""
    write_json(folder / "report.json", facts)
    path = folder / "report.html"
    write_bytes(path, page(facts).encode("utf-8"))
    return path


def choice(document: Mapping[str, Any]) -> str:
    """Which checkpoint was published and why, in plain sentences; `document`: the result of a training (outcome.py)."""
    numbers = Numbers(document)
    points, best = numbers.points, numbers.best
    if best is None:
        return ""
    if len(points) == 1:
        return f"Only one checkpoint was saved, that of step {best.step:g}: it was taken."
    return " ".join(sentence for sentence in (_why(numbers, best), _instead(points, best, numbers.kind)) if sentence)


def _why(numbers: Numbers, best: Point) -> str:
    told = f"The checkpoint of step {best.step:g} was chosen of {len(numbers.points)}"
    if numbers.kind == RESEMBLANCE:
        return (
            f"{told} by its colours and textures: its resemblance to the style is {best.likeness:.2f}, and it follows"
            f" prompts to {best.following:.0%}, a merit of {best.merit:.2f}."
        )
    floor, ceiling = numbers.at("untrained", "likeness"), numbers.at("ceiling")
    if floor is None or ceiling is None:
        return f"{told}: its likeness is {best.likeness:.2f}, and it follows prompts to {best.following:.0%}."
    recovered = (best.likeness - floor) / (ceiling - floor) if ceiling > floor else 0.0
    if recovered < NO_RECOVERY:
        return f"{told}, though none is more like the person than the untrained checkpoint."
    return (
        f"{told}: it recovered {recovered:.0%} of the likeness and kept {best.merit / recovered:.0%} of the untrained"
        f" checkpoint's obedience to prompts, a merit of {best.merit:.2f}."
    )


def _instead(points: list[Point], best: Point, kind: str) -> str:
    """What there was beside it: the one that is more alike and yet not better, else the second best."""
    others = [point for point in points if point.step != best.step]
    if not others:
        return ""
    alike = max(others, key=lambda point: point.likeness)
    if alike.likeness > best.likeness + CLEARLY:
        return (
            f"Step {alike.step:g} is more alike ({kind} {alike.likeness:.2f}, not {best.likeness:.2f}), but follows"
            f" prompts less well ({alike.following:.0%}, not {best.following:.0%})."
        )
    second = max(others, key=lambda point: point.merit)
    return f"The next best, step {second.step:g}, has a merit of {second.merit:.2f}."
