"""The training's own report: one HTML file that needs nothing else, and the same facts as JSON."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.storage import write_bytes, write_json

WIDTH_PX, HEIGHT_PX, MARGIN_PX = 640, 200, 36
SMOOTH_OVER = 40  # parts of the curve


@dataclass(frozen=True)
class Row:
    """One checkpoint in the table: its mean likeness on the choosing seeds and its pictures."""

    step: int
    likeness: float
    faces_found: float
    samples: tuple[Path, ...]


def write_report(folder: Path, document: dict[str, Any], losses: Sequence[float], rows: Sequence[Row]) -> Path:
    """Write `report.html` and `report.json` into `folder`; answers the HTML's path."""
    facts = {**document, "losses": [round(loss, 5) for loss in losses]}
    write_json(folder / "report.json", facts)
    path = folder / "report.html"
    write_bytes(path, page(document, losses, rows).encode("utf-8"))
    return path


def page(document: dict[str, Any], losses: Sequence[float], rows: Sequence[Row]) -> str:
    """The whole HTML document. `document` is the result of a training, see training.run."""
    title = html.escape(str(document["name"]))
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        + _numbers(document)
        + "<h2>Loss</h2>"
        + curve(list(enumerate(smoothed(losses), 1)), [])
        + "<h2>Likeness of each checkpoint</h2>"
        + _likeness(document, rows)
        + "<h2>The same prompts and seeds</h2>"
        + "".join(_pictures(row) for row in rows)
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
    "body{color:#222;background:#fff}"
    "table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;text-align:left}"
    "img{width:9rem;margin:0 .4rem .4rem 0}"
    "svg{max-width:100%;height:auto}svg text{font-size:11px;fill:#555}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}svg text{fill:#aaa}}"
)


def _numbers(document: dict[str, Any]) -> str:
    rows = [
        *_measured(document),
        ("File", html.escape(Path(document["files"][0]).name)),
        ("Made in", f"{document['seconds']:.0f} s"),
    ]
    return "<table>" + "".join(f"<tr><th>{name}<td>{value}" for name, value in rows) + "</table>"


def _measured(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Nothing when the training was cancelled before it was measured."""
    likeness = document["likeness"]
    if likeness is None:
        return [("Likeness", "not measured, the training was cancelled")]
    return [
        ("Measured against", _references(document["measured_on"])),
        ("Likeness before", f"{likeness['floor']:.3f}"),
        ("Likeness after", f"{likeness['after']:.3f}"),
        ("Best possible with this checkpoint", f"{likeness['ceiling']:.3f}"),
        ("Recovered", f"{likeness['recovered']:.0%}"),
        ("Somebody else moved toward the person by", f"{document['leakage']:.3f}"),
    ]


def _references(measured_on: dict[str, Any]) -> str:
    kind = "that were not trained on" if measured_on["held_out"] else "that were trained on, because they are few"
    return f"{measured_on['photos']} photos {kind}"


def _likeness(document: dict[str, Any], rows: Sequence[Row]) -> str:
    """Curve over the checkpoints, from the untrained one on, with the ceiling as a line."""
    points = [(0, float(document["floor_while_choosing"]))] + [(row.step, row.likeness) for row in rows]
    return curve(points, [("ceiling", float(document["ceiling"]))])


def _pictures(row: Row) -> str:
    pictures = "".join(f"<img alt='' src='{_inline(path)}'>" for path in row.samples)
    return f"<h3>Step {row.step}: likeness {row.likeness:.3f}, a face in {row.faces_found:.0%}</h3>{pictures}"


def _inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def smoothed(values: Sequence[float]) -> list[float]:
    """Means over a window of a fortieth of the length, as long as the input."""
    window = max(1, len(values) // SMOOTH_OVER)
    sums, total = [], 0.0
    for index, value in enumerate(values):
        total += value - (values[index - window] if index >= window else 0.0)
        sums.append(total / min(index + 1, window))
    return sums


def curve(points: Sequence[tuple[float, float]], lines: Sequence[tuple[str, float]]) -> str:
    """An SVG line through (x, y) `points`; `lines` are labelled heights."""
    xs, ys = [x for x, _ in points], [y for _, y in points] + [height for _, height in lines]
    left, right, low, high = min(xs), max(xs), min(ys), max(ys)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - left) / ((right - left) or 1.0)
        up = (y - low) / ((high - low) or 1.0)
        return (
            round(MARGIN_PX + across * (WIDTH_PX - 2 * MARGIN_PX), 1),
            round(HEIGHT_PX - MARGIN_PX - up * (HEIGHT_PX - 2 * MARGIN_PX), 1),
        )

    path = " ".join("{},{}".format(*place(x, y)) for x, y in points)
    marks = [f"<text x=0 y={place(left, value)[1] + 4}>{value:.3g}</text>" for value in sorted({low, high})]
    marks += [
        f"<text x={place(value, low)[0] - 8} y={HEIGHT_PX - 8}>{value:g}</text>" for value in sorted({left, right})
    ]
    for name, height in lines:
        y = place(left, height)[1]
        marks.append(
            f"<line x1={MARGIN_PX} x2={WIDTH_PX - MARGIN_PX} y1={y} y2={y} stroke='#999' stroke-dasharray=4 />"
        )
        marks.append(f"<text x={WIDTH_PX - MARGIN_PX - 40} y={y - 4}>{html.escape(name)}</text>")
    line = f"<polyline points='{path}' fill=none stroke='#3b7dd8' stroke-width=2 />"
    return f"<svg viewBox='0 0 {WIDTH_PX} {HEIGHT_PX}' width={WIDTH_PX} height={HEIGHT_PX}>{''.join(marks)}{line}</svg>"
