"""Curves as inline SVG: they follow the page's colours, and a screen reader gets them as a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH_PX, HEIGHT_PX = 420, 160
LEFT_PX, RIGHT_PX, TOP_PX, BOTTOM_PX = 46, 10, 10, 24
Point = tuple[float, float]


@dataclass(frozen=True)
class Curve:
    """One line. `style` names a class of style.css; `dots` marks each point."""

    points: tuple[Point, ...]
    style: str = "pa-line"
    dots: bool = False


@dataclass(frozen=True)
class Frame:
    """The rectangle of values that is drawn, never empty."""

    x: Point
    y: Point

    def place(self, point: Point) -> Point:
        """Values to pixels; y grows upwards in values and downwards in pixels."""
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT_PX + across * (WIDTH_PX - LEFT_PX - RIGHT_PX),
            HEIGHT_PX - BOTTOM_PX - up * (HEIGHT_PX - TOP_PX - BOTTOM_PX),
        )


def chart(title: str, curves: Sequence[Curve], x_label: str) -> str:
    """A figure with its caption; empty when there is nothing to draw. Values need not be sorted or many."""
    drawn = [curve for curve in curves if curve.points]
    if not drawn:
        return ""
    frame = frame_of([point for curve in drawn for point in curve.points])
    inner = _grid(frame) + "".join(_line(curve, frame) for curve in drawn)
    label = (
        f'<text x="{WIDTH_PX - RIGHT_PX}" y="{HEIGHT_PX - 6}" text-anchor="end">{escape(x_label)} {frame.x[1]:g}</text>'
    )
    last = drawn[0].points[-1]
    spoken = escape(f"{title}: {last[1]:.3f} ({x_label} {last[0]:g})")
    return (
        f'<figure class="pa-chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" role="img" aria-label="{spoken}">{inner}{label}</svg></figure>'
    )


def frame_of(points: Sequence[Point]) -> Frame:
    """Bounds of the points; a flat or single value gets room around it."""
    low_x, high_x = min(x for x, _ in points), max(x for x, _ in points)
    low_y, high_y = min(y for _, y in points), max(y for _, y in points)
    room = (high_y - low_y) * 0.08 or max(abs(high_y) * 0.1, 0.05)
    return Frame((low_x, high_x if high_x > low_x else low_x + 1), (low_y - room, high_y + room))


def _grid(frame: Frame) -> str:
    parts = []
    for share in (0.0, 0.5, 1.0):
        value = frame.y[0] + share * (frame.y[1] - frame.y[0])
        y = frame.place((frame.x[0], value))[1]
        parts.append(f'<line class="pa-grid" x1="{LEFT_PX}" x2="{WIDTH_PX - RIGHT_PX}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT_PX - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    return "".join(parts)


def _line(curve: Curve, frame: Frame) -> str:
    placed = [frame.place(point) for point in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    dots = "".join(f'<circle class="{curve.style}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in placed)
    return f'<polyline class="{curve.style}" points="{path}"/>' + (dots if curve.dots or len(placed) == 1 else "")


def smoothed(points: Sequence[Point], share: float = 0.9) -> tuple[Point, ...]:
    """Exponential moving average, corrected for its start: the first value is the first point's own."""
    total, weight, made = 0.0, 0.0, []
    for x, y in points:
        total, weight = share * total + (1 - share) * y, share * weight + (1 - share)
        made.append((x, total / weight))
    return tuple(made)


def thinned(points: Sequence[Point], most: int = 200) -> tuple[Point, ...]:
    """At most `most` points, evenly taken, the last one kept."""
    if len(points) <= most:
        return tuple(points)
    step = (len(points) - 1) / (most - 1)
    return tuple(points[round(number * step)] for number in range(most))
