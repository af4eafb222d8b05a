"""A portrait from a character and a shot: background, hair, body, head, face, in painter's order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from . import features, hair
from .canvas import Canvas, Mask, ellipse, tone
from .characters import Character, Shot
from .clothes import draw_body
from .features import Face
from .shading import draw_background, light_head, shade_hair


@dataclass(frozen=True)
class Drawing:
    """picture: uint8 [size, size, 3] RGB. landmarks_px: float32 [5, 2], eyes, nose, mouth corners as seen, left
    first.
    """

    picture: np.ndarray
    landmarks_px: np.ndarray


def draw(character: Character, shot: Shot, size_px: int, supersampling: int = 2) -> Drawing:
    """The portrait. The same arguments give the same picture."""
    canvas = Canvas(size_px * supersampling, (0.5 + shot.dx, 0.455 + shot.dy), shot.scale, shot.roll_deg)
    rng = np.random.default_rng(shot.seed)
    draw_background(canvas, shot, rng)
    _draw_back_hair(canvas, character, shot, rng)
    draw_body(canvas, character, shot)
    _draw_ears(canvas, character, shot)
    head = canvas.fill(hair.head_outline(character), 0.0 if shot.style == "flat" else 0.005)
    face = Face(canvas, character, shot, head)
    _draw_head(face)
    _draw_face(face)
    _draw_front_hair(face, rng)
    features.draw_glasses(face)
    picture = Image.fromarray(np.clip(canvas.rgb + 0.5, 0, 255).astype(np.uint8))
    if supersampling > 1:
        picture = picture.resize(
            (size_px, size_px), Image.Resampling.BOX if supersampling == 2 else Image.Resampling.LANCZOS
        )
    return Drawing(np.asarray(picture), features.landmarks_px(face) / supersampling)


def _draw_back_hair(canvas: Canvas, c: Character, shot: Shot, rng: np.random.Generator) -> None:
    flat = shot.style == "flat"
    for shape in hair.behind(c):
        mask = canvas.fill(shape, 0.0 if flat else 0.012)
        canvas.paint(tone(c.hair, 0.8 if flat else 0.72), mask)
        if not flat:
            shade_hair(canvas, mask, c, shot, rng, depth=0.85)


def _draw_ears(canvas: Canvas, c: Character, shot: Shot) -> None:
    flat = shot.style == "flat"
    for side in (-1, 1):
        x = side * (c.width + 0.015) - shot.yaw * 0.4
        if flat:
            canvas.paint(features.INK, canvas.fill(ellipse(x, 0.1, 0.12, 0.21, side * 0.12)))
        canvas.paint(tone(c.skin, 0.9), canvas.fill(ellipse(x, 0.1, 0.1, 0.19, side * 0.12), 0.0 if flat else 0.008))
        canvas.paint(
            tone(c.skin, 0.7), canvas.fill(ellipse(x, 0.1, 0.05, 0.11, side * 0.12), 0.0 if flat else 0.02), 0.7
        )


def _draw_head(face: Face) -> None:
    canvas, c = face.canvas, face.character
    if face.flat:
        canvas.paint(features.INK, canvas.fill(hair.head_outline(c, 0.022)))
        canvas.paint(c.skin, face.head)
        inner = canvas.fill(hair.head_outline(c) * [0.95, 1.0] + [np.sign(face.shot.light_x) * 0.1, -0.04])
        canvas.paint(tone(c.skin, 0.87), face.head.without(inner))
    else:
        canvas.paint(c.skin, face.head)
        light_head(face)
    blush = 0.2 if face.flat else 0.26
    for side in (-1, 1):
        cheek = canvas.fill(
            ellipse(side * c.width * 0.56 + face.shift(0.3), 0.33, 0.16, 0.11), 0.0 if face.flat else 0.06
        )
        canvas.paint((232, 108, 100), cheek.within(face.head), blush)
    if c.freckles:
        _draw_freckles(face)


def _draw_freckles(face: Face) -> None:
    rng = np.random.default_rng(7)
    for _ in range(14):
        x, y = rng.choice((-1, 1)) * rng.uniform(0.12, 0.45), rng.uniform(0.18, 0.36)
        face.canvas.paint(
            tone(face.character.skin, 0.62), face.canvas.fill(ellipse(x + face.shift(0.4), y, 0.017, 0.017, n=10)), 0.7
        )


def _draw_face(face: Face) -> None:
    features.draw_beard(face)
    features.draw_nose(face)
    features.draw_mouth(face)
    features.draw_eyes(face)
    features.draw_brows(face)


def _draw_front_hair(face: Face, rng: np.random.Generator) -> None:
    canvas, c = face.canvas, face.character
    shapes = hair.in_front(c)
    if shapes and not face.flat:
        shadow = canvas.fill(shapes[0] + [0, 0.05], 0.035).within(face.head)
        canvas.paint(tone(c.skin, 0.5), shadow, 0.5)
    union: Mask = canvas.whole().times(0.0)
    for shape in [*shapes, *hair.locks(c)]:
        if face.flat:
            canvas.paint(tone(c.hair, 0.62), canvas.stroke(np.concatenate([shape, shape[:1]]), 0.03))
        mask = canvas.fill(shape, face.soft(0.008))
        union = Mask(0, 0, np.maximum(union.alpha, mask.cropped(union)))
    canvas.paint(c.hair, union)
    if shapes:
        shade_hair(canvas, union, c, face.shot, rng)
