"""Hair: what lies behind the head and what lies in front of it, per cut."""

from __future__ import annotations

import numpy as np

from .canvas import curve, ellipse
from .characters import Character


def head_outline(c: Character, grow: float = 0.0, n: int = 120) -> np.ndarray:
    """Round skull, tapering jaw; `grow` widens it."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = np.cos(t), np.sin(t)
    x = x * (c.width + grow) * (1 - c.jaw * np.clip(y, 0, 1) ** 2.2)
    y = y * (1 + grow + np.where(y > 0, c.chin, 0)) + 0.05
    return np.stack([x, y], 1)


def behind(c: Character) -> list[np.ndarray]:
    """Polygons painted before the neck."""
    w, top = c.width, -1.0 - c.volume
    if c.cut == "long":
        return [
            _mirrored(
                [
                    (0, top - 0.04),
                    (w * 0.75, top + 0.12),
                    (w + 0.2, -0.35),
                    (w + 0.24, 0.5),
                    (w + 0.3, 1.3),
                    (w * 0.4, 1.45),
                ]
            )
        ]
    if c.cut == "bob":
        return [
            _mirrored(
                [
                    (0, top - 0.03),
                    (w * 0.75, top + 0.12),
                    (w + 0.2, -0.4),
                    (w + 0.25, 0.25),
                    (w + 0.2, 0.68),
                    (w * 0.5, 0.78),
                ]
            )
        ]
    if c.cut == "curly":
        return [_cloud(c, 0.16 + c.volume, 17), ellipse(0, -0.3, w + 0.2 + c.volume, 0.85 + c.volume)]
    return []


def in_front(c: Character) -> list[np.ndarray]:
    """Polygons painted after the face: the crown down to the hair line."""
    w = c.width
    if c.cut == "bald":
        return []
    if c.cut == "curly":
        line = [
            (w * 0.98, -0.12),
            (w * 0.86, -0.5),
            (w * 0.45, -0.62),
            (0, -0.68),
            (-w * 0.45, -0.62),
            (-w * 0.86, -0.5),
            (-w * 0.98, -0.12),
        ]
        bumps = [ellipse(x, y, 0.17, 0.15) for x, y in curve(line, closed=False, steps=2)[1:-1]]
        return [_crown(c, line), *bumps]
    if c.cut == "bob" and c.fringe > 0.4:
        line = [
            (w * 1.0, 0.1),
            (w * 0.9, -0.2),
            (w * 0.78, -0.36),
            (0, -0.4),
            (-w * 0.78, -0.36),
            (-w * 0.9, -0.2),
            (-w * 1.0, 0.1),
        ]
        return [_crown(c, line)]
    part = c.parting * w
    low = -0.2 if c.cut == "short" else 0.25
    lift = 0.62 + 0.12 * (1 - c.fringe)
    line = [
        (w * 1.0, low),
        (w * 0.93, -0.3),
        (w * 0.72, -0.5),
        ((part + w) * 0.42, -lift),
        (part, -lift - 0.08),
        ((part - w) * 0.42, -lift),
        (-w * 0.72, -0.5),
        (-w * 0.93, -0.3),
        (-w * 1.0, low),
    ]
    return [_crown(c, line)]


def locks(c: Character) -> list[np.ndarray]:
    """Polygons painted over the shirt: long hair falls in front of the shoulders."""
    if c.cut != "long":
        return []
    w = c.width
    right = [
        (w * 0.93, -0.35),
        (w + 0.16, -0.1),
        (w + 0.25, 0.6),
        (w + 0.3, 1.2),
        (w + 0.12, 1.62),
        (w * 0.72, 1.35),
        (w * 0.86, 0.8),
        (w * 0.95, 0.2),
    ]
    points = curve(right)
    return [points, points * [-1, 1]]


def strands(c: Character, rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Lines that follow the fall of the hair from the parting outwards."""
    lines = []
    drop = {"long": 1.5, "bob": 0.9, "short": 0.42, "curly": 0.5}.get(c.cut, 0.0)
    for _ in range(count):
        side = rng.choice((-1, 1))
        reach = rng.uniform(0.35, 1.0)
        start = (c.parting * c.width * 0.5 + side * rng.uniform(0, 0.15), -0.98 - c.volume * rng.uniform(0.2, 0.9))
        end_x = side * (c.width + 0.05 + 0.16 * rng.random()) * (0.55 + 0.45 * reach)
        middle = (0.6 * end_x + 0.4 * start[0], -0.86 - 0.1 * rng.random())
        lines.append(curve([start, middle, (end_x, -0.45), (end_x * 1.05, -0.45 + drop * reach)], closed=False))
    return lines


def _crown(c: Character, line: list[tuple[float, float]]) -> np.ndarray:
    rise = np.clip((0.1 - head_outline(c)[:, 1:]) / 0.75, 0.1 if c.cut == "short" else 0.5, 1)
    outer = head_outline(c) * (1 - rise) + head_outline(c, c.volume + 0.03) * rise
    outer = outer[outer[:, 1] < line[0][1]]
    outer = outer[np.argsort(np.arctan2(outer[:, 0], -outer[:, 1]))]
    return np.concatenate([outer, curve(line, closed=False)])


def _mirrored(right: list[tuple[float, float]]) -> np.ndarray:
    left = [(-x, y) for x, y in right[::-1] if x > 0]
    return curve([*right, *left])


def _cloud(c: Character, grow: float, count: int) -> np.ndarray:
    t = np.linspace(np.pi * 0.9, np.pi * 2.1, 240)
    bump = 1 + 0.055 * np.abs(np.sin((t - t[0]) * count / 2.3))
    x = np.cos(t) * (c.width + grow + 0.1) * bump
    y = np.sin(t) * (0.92 + grow) * bump + 0.02
    tail = [(c.width + 0.02, 0.42), (0, 0.3), (-c.width - 0.02, 0.42)]
    return np.concatenate([np.stack([x, y], 1), tail])
