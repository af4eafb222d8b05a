"""Line charts as inline SVG. Colours come from the page's variables, so that they follow light and dark.

Used variables: --ink (text, the line behind), --faint (grid), --accent (the line), --accent-2 (marked heights).
"""
from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from personal_avatar.wording import DEFAULT, score, text

WIDTH_PX, HEIGHT_PX = 640, 240
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 52, 18, 16, 40
TICKS = 4
LEAST_MARGIN, FLAT = 1e-6, 0.05  # above and below the curve; the other where nothing rises above zero

Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """`points` (x, y) in the order of x. `marks`: (name, height) lines across. `background`: points of a thinner line
    behind. `language`: of what a screen reader says."""

    title: str
    points: Sequence[Point]
    marks: Sequence[tuple[str, float]] = ()
    background: Sequence[Point] = ()
    dots: bool = False
    x_label: str = "steps"
    language: str = DEFAULT


def chart(wanted: Chart) -> str:
    """An `<svg>` element; empty text when there are fewer than two points. Values that are no numbers are left out."""
    wanted = replace(wanted, points=_finite(wanted.points), background=_finite(wanted.background))
    if len(wanted.points) < 2:
        return ""
    frame = _Frame.around([*wanted.points, *wanted.background], [height for _, height in wanted.marks])
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{html.escape(_spoken(wanted))}</title>",
        *_grid(frame, wanted.x_label),
        _line(frame, wanted.background, "var(--ink)", 1.0, 0.7) if wanted.background else "",
        *(_mark(frame, name, height, wanted.points) for name, height in wanted.marks),
        _line(frame, wanted.points, "var(--accent)", 2.5),
        *(_dot(frame, point) for point in (wanted.points if wanted.dots else ())),
        "</svg>",
    ]
    return "".join(parts)


def _finite(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if all(map(math.isfinite, point))]


def smoothed(points: Sequence[Point], windows: int = 40) -> list[Point]:
    """Each y as the mean of the last `len / windows` ones: as many points as came in."""
    width = max(1, len(points) // windows)
    result, total = [], 0.0
    for index, (x, y) in enumerate(points):
        total += y - (points[index - width][1] if index >= width else 0.0)
        result.append((x, total / min(index + 1, width)))
    return result


def thinned(points: Sequence[Point], most: int = 240) -> list[Point]:
    """At most `most` points, evenly taken, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(number * step)] for number in range(most)]


def nice_ticks(low: float, high: float, count: int = TICKS) -> list[float]:
    """Round numbers within [low, high]: steps of 1, 2 or 5 times a power of ten, about `count` of them."""
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


@dataclass(frozen=True)
class _Frame:
    """The part of the plane that is shown, and where it lies in the picture."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float

    @staticmethod
    def around(points: Sequence[Point], heights: Sequence[float]) -> _Frame:
        xs, ys = [x for x, _ in points], [*(y for _, y in points), *heights]
        margin = (max(ys) - min(ys)) * 0.08 or abs(max(ys)) * 0.1
        margin = margin if margin > LEAST_MARGIN else FLAT
        return _Frame(min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1, min(ys) - margin, max(ys) + margin)

    def x(self, value: float) -> float:
        return round(LEFT_PX + (value - self.low_x) / (self.high_x - self.low_x) * (WIDTH_PX - LEFT_PX - RIGHT_PX), 1)

    def y(self, value: float) -> float:
        share = (value - self.low_y) / (self.high_y - self.low_y)
        return round(HEIGHT_PX - BOTTOM_PX - share * (HEIGHT_PX - TOP_PX - BOTTOM_PX), 1)


def _grid(frame: _Frame, x_label: str) -> list[str]:
    rows = [
        _across(frame.y(tick), 'stroke="var(--faint)"') + _text(LEFT_PX - 6, frame.y(tick) + 4, f"{tick:g}", "end")
        for tick in nice_ticks(frame.low_y, frame.high_y)
    ]
    columns = [
        _text(frame.x(tick), HEIGHT_PX - BOTTOM_PX + 17, f"{tick:g}", "middle")
        for tick in nice_ticks(frame.low_x, frame.high_x, 6)
    ]
    return [*rows, *columns, _text(WIDTH_PX - RIGHT_PX, HEIGHT_PX - 4, x_label, "end")]


def _line(frame: _Frame, points: Sequence[Point], colour: str, width: float, opacity: float = 1.0) -> str:
    path = " ".join(f"{frame.x(x)},{frame.y(y)}" for x, y in points)
    drawn = f'stroke="{colour}" stroke-opacity="{opacity:g}" stroke-width="{width}" stroke-linejoin="round"'
    return f'<polyline points="{path}" fill="none" {drawn}/>'


def _dot(frame: _Frame, point: Point) -> str:
    return f'<circle cx="{frame.x(point[0])}" cy="{frame.y(point[1])}" r="4" fill="var(--accent)"/>'


def _mark(frame: _Frame, name: str, height: float, points: Sequence[Point]) -> str:
    """A line across, named at that end of it from which `points` are farther away."""
    y = frame.y(height)
    line = _across(y, 'stroke="var(--accent-2)" stroke-dasharray="5 4"')
    starts_farther = abs(points[0][1] - height) > abs(points[-1][1] - height)
    x, anchor = (LEFT_PX + 4, "start") if starts_farther else (WIDTH_PX - RIGHT_PX - 4, "end")
    return line + _text(x, y - 5, f"{name} {score(height)}", anchor, "var(--accent-2)")


def _across(y: float, how: str) -> str:
    return f'<line x1="{LEFT_PX}" x2="{WIDTH_PX - RIGHT_PX}" y1="{y}" y2="{y}" {how}/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "var(--ink)") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}" font-size="12">{html.escape(text)}</text>'


def _spoken(wanted: Chart) -> str:
    """What a screen reader says."""
    (x, y), (last_x, last_y) = wanted.points[0], wanted.points[-1]
    marks = "".join(f"; {name} {height:.3g}" for name, height in wanted.marks)
    ends = {"first": f"{y:.3g}", "start": f"{x:g}", "last": f"{last_y:.3g}", "end": f"{last_x:g}"}
    return text("chart.spoken", wanted.language, title=wanted.title, **ends) + marks
