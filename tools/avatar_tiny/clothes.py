"""Neck, shoulders and four necklines."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Colour, Mask, curve, ellipse, tone
from .characters import Character, Shot


def draw_body(canvas: Canvas, c: Character, shot: Shot) -> None:
    flat = shot.style == "flat"
    soft = 0.0 if flat else 0.008
    wide = 1.42 if c.sex == "man" else 1.22
    neck_w = 0.4 if c.sex == "man" else 0.3
    _draw_neck(canvas, c, neck_w, flat)
    torso = curve(
        [
            (neck_w * 0.85, 1.12),
            (0.62, 1.2),
            (wide * 0.86, 1.34),
            (wide + 0.02, 1.8),
            (wide + 0.1, 2.8),
            (-wide - 0.1, 2.8),
            (-wide - 0.02, 1.8),
            (-wide * 0.86, 1.34),
            (-0.62, 1.2),
            (-neck_w * 0.85, 1.12),
        ]
    )
    if flat:
        canvas.paint((44, 30, 32), canvas.stroke(np.concatenate([torso, torso[:1]]), 0.035))
    shirt = canvas.fill(torso, soft)
    canvas.paint(shot.shirt, shirt)
    if not flat:
        _shade_cloth(canvas, shirt, shot)
    NECKLINES[shot.neckline](canvas, c, shot, neck_w, soft)


def _draw_neck(canvas: Canvas, c: Character, neck_w: float, flat: bool) -> None:
    neck = np.array(
        [
            (-neck_w, 0.5),
            (neck_w, 0.5),
            (neck_w * 1.06, 1.3),
            (0.62, 1.48),
            (0, 1.75),
            (-0.62, 1.48),
            (-neck_w * 1.06, 1.3),
        ]
    )
    mask = canvas.fill(neck, 0.0 if flat else 0.01)
    canvas.paint(tone(c.skin, 0.93), mask)
    shadow = canvas.fill(ellipse(0, 0.86, neck_w * 1.6, 0.42), 0.0 if flat else 0.05).within(mask)
    canvas.paint(tone(c.skin, 0.7), shadow, 0.85)


def _shade_cloth(canvas: Canvas, shirt: Mask, shot: Shot) -> None:
    x, y = canvas.coordinates(shirt)
    strength = 0.34 if shot.style == "soft3d" else 0.2
    fall = (
        1.08
        + 0.16 * x * np.sign(shot.light_x)
        - strength * np.clip((np.abs(x) - 0.5), 0, 1) ** 1.5
        - 0.16 * np.clip(y - 1.4, 0, 1)
    )
    canvas.light(np.clip(fall, 0.5, 1.25), shirt)
    fold = curve([(0.85, 1.75), (0.78, 2.1), (0.86, 2.6)], closed=False)
    for points in (fold, fold * [-1, 1]):
        canvas.light(0.82, canvas.stroke(points, 0.05, 0.03).within(shirt))


def _crew(canvas: Canvas, c: Character, shot: Shot, neck_w: float, soft: float) -> None:
    hole = ellipse(0, 1.22, neck_w * 1.12, 0.22)
    canvas.paint(tone(c.skin, 0.9), canvas.fill(hole, soft))
    canvas.paint(
        tone(shot.shirt, 0.72),
        canvas.stroke(ellipse(0, 1.24, neck_w * 1.17, 0.24, start_deg=0, end_deg=180), 0.06, soft),
    )


def _v(canvas: Canvas, c: Character, shot: Shot, neck_w: float, soft: float) -> None:
    w = neck_w * 1.1
    canvas.paint(
        tone(c.skin, 0.88), canvas.fill(np.array([(-w, 1.02), (w, 1.02), (w, 1.16), (0.0, 1.72), (-w, 1.16)]), soft)
    )
    for side in (-1, 1):
        canvas.paint(
            tone(shot.shirt, 0.72), canvas.stroke(np.array([(side * w * 1.03, 1.18), (0.0, 1.75)]), 0.06, soft)
        )


def _collar(canvas: Canvas, c: Character, shot: Shot, neck_w: float, soft: float) -> None:
    w = neck_w * 1.1
    canvas.paint(
        tone(c.skin, 0.86), canvas.fill(np.array([(-w, 1.02), (w, 1.02), (w, 1.16), (0.0, 1.5), (-w, 1.16)]), soft)
    )
    edge = _contrast(shot.shirt)
    for side in (-1, 1):
        flap = np.array([(side * w * 1.0, 1.08), (side * (w + 0.2), 1.3), (side * 0.34, 1.66), (side * 0.01, 1.46)])
        canvas.paint(edge, canvas.fill(flap, soft))
        inset = flap.mean(0) + (flap - flap.mean(0)) * 0.84
        canvas.paint(tone(shot.shirt, 1.14), canvas.fill(inset, soft))
    canvas.paint(edge, canvas.stroke(np.array([(0.0, 1.5), (0.0, 2.7)]), 0.025, soft))
    canvas.paint(edge, canvas.fill(ellipse(0.07, 1.82, 0.035, 0.035, n=16)))


def _hood(canvas: Canvas, c: Character, shot: Shot, neck_w: float, soft: float) -> None:
    hood = curve(
        [
            (neck_w + 0.05, 1.05),
            (neck_w + 0.34, 1.2),
            (0.5, 1.5),
            (0, 1.66),
            (-0.5, 1.5),
            (-neck_w - 0.34, 1.2),
            (-neck_w - 0.05, 1.05),
            (-0.3, 1.32),
            (0, 1.42),
            (0.3, 1.32),
        ]
    )
    canvas.paint(tone(c.skin, 0.84), canvas.fill(ellipse(0, 1.22, neck_w, 0.18), soft))
    canvas.paint(tone(shot.shirt, 0.86), canvas.fill(hood, soft))
    for side in (-1, 1):
        canvas.paint((246, 246, 244), canvas.stroke(np.array([(side * 0.22, 1.56), (side * 0.24, 1.95)]), 0.035, soft))


def _contrast(colour: Colour) -> Colour:
    return tone(colour, 0.66) if sum(colour) > 150 else tone(colour, 1.3)


NECKLINES = {"crew": _crew, "v": _v, "collar": _collar, "hood": _hood}
