"""Eyes, brows, nose, mouth, beard and glasses. Each function paints one feature on a canvas, in one of the three
styles.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, Mask, curve, ellipse, tone
from .characters import Character, Shot
from .hair import head_outline

INK = (44, 30, 32)


@dataclass(frozen=True)
class Mood:
    """What an expression does to a face. Exaggerated, so that it survives the small size."""

    curve: float
    opening: float
    mouth_width: float
    brow_lift: float
    brow_worry: float
    lid: float


MOODS = {
    "smiling": Mood(curve=0.12, opening=0.13, mouth_width=1.25, brow_lift=0.02, brow_worry=0.0, lid=0.92),
    "neutral": Mood(curve=0.0, opening=0.0, mouth_width=1.0, brow_lift=0.0, brow_worry=0.0, lid=1.0),
    "sad": Mood(curve=-0.13, opening=0.0, mouth_width=0.95, brow_lift=0.0, brow_worry=0.075, lid=0.86),
    "surprised": Mood(curve=0.0, opening=0.15, mouth_width=0.66, brow_lift=0.1, brow_worry=0.0, lid=1.22),
}


@dataclass(frozen=True)
class Face:
    """Everything that a feature needs to know."""

    canvas: Canvas
    character: Character
    shot: Shot
    head: Mask

    @property
    def flat(self) -> bool:
        return self.shot.style == "flat"

    @property
    def mood(self) -> Mood:
        return MOODS[self.shot.expression]

    def soft(self, amount: float) -> float:
        """Softness of edges: none in the flat style."""
        return 0.0 if self.flat else amount

    def shift(self, depth: float) -> float:
        """How far a feature of a depth moves when the head turns."""
        return self.shot.yaw * depth

    def eye_x(self, side: int) -> float:
        return side * self.character.eye_dx * (1 - 0.3 * side * self.shot.yaw) + self.shift(0.35)

    def mouth(self) -> tuple[np.ndarray, np.ndarray]:
        """Upper and lower line of the mouth's opening, float64 [n, 2], left to right."""
        c, mood, t = self.character, self.mood, np.linspace(-1, 1, 25)
        x = self.shift(0.6) + t * c.mouth_w * mood.mouth_width
        bend = mood.curve * self.shot.strength
        upper = c.mouth_y + bend * (0.45 - t**2) - 0.25 * mood.opening * (1 - t**2) * (bend == 0)
        lower = upper + mood.opening * (1 - t**2) ** 0.7 * (1.5 if bend == 0 else 1.0)
        return np.stack([x, upper], 1), np.stack([x, lower], 1)


def landmarks_px(face: Face) -> np.ndarray:
    """Left and right eye, tip of the nose, left and right corner of the mouth as seen, float32 [5, 2]."""
    upper, _ = face.mouth()
    tip = (face.shift(0.8), face.character.nose_l - 0.04)
    points = np.array([(face.eye_x(-1), 0), (face.eye_x(1), 0), tip, upper[0], upper[-1]])
    return face.canvas.to_px(points).astype(np.float32)


def draw_eyes(face: Face) -> None:
    for side in (-1, 1):
        _draw_eye(face, side)


def _draw_eye(face: Face, side: int) -> None:
    c, canvas, x = face.character, face.canvas, face.eye_x(side)
    w, h = c.eye_w, c.eye_h * face.mood.lid
    opening, lid = _almond(x, w, h, -side * c.tilt)
    if not face.flat:
        canvas.paint(
            tone(c.skin, 0.62), canvas.fill(ellipse(x, -h * 0.35, w * 1.3, h * 1.7), 0.05).within(face.head), 0.4
        )
    mask = canvas.fill(opening, face.soft(0.004))
    canvas.paint((250, 249, 247), mask)
    if not face.flat:
        shadow = canvas.stroke(lid + [0, h * 0.22], h * 0.7, 0.03).within(mask)
        canvas.paint((120, 112, 124), shadow, 0.45)
    _draw_iris(face, x + face.shot.gaze * w * 0.35, h * 0.02, min(max(h * 0.86, w * 0.5), w * 0.62), mask)
    canvas.paint(
        INK if face.flat else tone(c.hair, 0.25),
        canvas.stroke(lid, 0.042 if c.sex == "woman" else 0.032, face.soft(0.004)),
    )
    if c.sex == "woman":
        outer = lid[0] if side < 0 else lid[-1]
        canvas.paint(INK, canvas.stroke(np.array([outer, outer + [side * 0.055, -0.05]]), 0.03, face.soft(0.004)))
    if not face.flat:
        canvas.paint(tone(c.skin, 0.55), canvas.stroke(lid + [0, -h * 0.5], 0.02, 0.008).within(face.head), 0.55)


def _almond(x: float, w: float, h: float, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """An eye's opening, and its upper lid from left to right."""
    t = np.linspace(-1, 1, 24)
    top = np.stack([t * w, -h * (1 - np.abs(t) ** 2.2) ** 0.9], 1)
    bottom = np.stack([t[::-1] * w, 0.8 * h * (1 - t**2) ** 0.85], 1)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    return np.concatenate([top, bottom]) @ turn + [x, 0], top @ turn + [x, 0]


def _draw_iris(face: Face, x: float, y: float, r: float, eye: Mask) -> None:
    canvas, colour = face.canvas, face.character.iris
    iris = canvas.fill(ellipse(x, y, r, r), face.soft(0.005)).within(eye)
    canvas.paint(tone(colour, 0.6), iris)
    canvas.paint(
        colour if face.flat else tone(colour, 1.15),
        canvas.fill(ellipse(x, y + r * 0.12, r * 0.8, r * 0.8), face.soft(0.014)).within(eye),
    )
    canvas.paint((18, 14, 18), canvas.fill(ellipse(x, y, r * 0.48, r * 0.48), face.soft(0.004)).within(eye))
    canvas.paint((255, 255, 255), canvas.fill(ellipse(x - r * 0.34, y - r * 0.36, r * 0.27, r * 0.27)).within(eye))
    if not face.flat:
        canvas.paint(
            (255, 255, 255), canvas.fill(ellipse(x + r * 0.34, y + r * 0.4, r * 0.14, r * 0.14)).within(eye), 0.6
        )


def draw_brows(face: Face) -> None:
    c, canvas, mood = face.character, face.canvas, face.mood
    t = np.linspace(-1, 1, 16)
    for side in (-1, 1):
        inner = (1 - side * t) / 2
        x = face.eye_x(side) + side * 0.02 + t * c.eye_w * 1.2
        y = -c.brow_y - c.eye_h * 0.5 - mood.brow_lift * face.shot.strength - c.brow_arch * (1 - t**2)
        y = y + mood.brow_worry * face.shot.strength * (1 - 2 * inner)
        thick = c.brow_h * (0.45 + 0.55 * np.sqrt(inner))
        shape = np.concatenate([np.stack([x, y - thick], 1), np.stack([x, y + thick], 1)[::-1]])
        canvas.paint(
            tone(c.hair, 0.66 if sum(c.hair) > 260 else 0.9),
            canvas.fill(shape, face.soft(0.012)),
            1.0 if face.flat else 0.92,
        )


def draw_nose(face: Face) -> None:
    c, canvas = face.character, face.canvas
    x, y, w = face.shift(0.8), c.nose_l, c.nose_w
    if face.flat:
        _draw_flat_nose(face, x, y, w)
        return
    side = 1 if face.shot.light_x < 0 else -1
    bridge = np.array(
        [(face.shift(0.4) + side * 0.07, -0.02), (x + side * w * 1.0, y - 0.05), (x + side * w * 0.3, y - 0.02)]
    )
    canvas.paint(tone(c.skin, 0.66), canvas.fill(bridge, 0.035).within(face.head), 0.5)
    canvas.paint(tone(c.skin, 0.5), canvas.fill(ellipse(x, y - 0.005, w * 0.85, 0.035), 0.022).within(face.head), 0.6)
    canvas.paint(
        tone(c.skin, 1.55),
        canvas.fill(ellipse(x - side * w * 0.15, y - 0.1, w * 0.3, 0.045), 0.022).within(face.head),
        0.5,
    )
    for k in (-1, 1):
        canvas.paint(
            tone(c.skin, 0.34), canvas.fill(ellipse(x + k * w * 0.5, y - 0.012, w * 0.24, 0.022, k * -0.25), 0.008), 0.8
        )


def _draw_flat_nose(face: Face, x: float, y: float, w: float) -> None:
    c, canvas = face.character, face.canvas
    side = 1 if face.shot.light_x < 0 else -1
    shade = np.array(
        [
            (face.shift(0.4) + side * 0.06, -0.06),
            (face.shift(0.4) + side * 0.1, 0.04),
            (x + side * w, y - 0.04),
            (x, y),
            (x - side * w * 0.1, y - 0.12),
        ]
    )
    canvas.paint(tone(c.skin, 0.8), canvas.fill(shade))
    canvas.paint(tone(c.skin, 0.62), canvas.fill(ellipse(x, y, w * 0.8, 0.032)))
    for k in (-1, 1):
        canvas.paint(tone(c.skin, 0.36), canvas.fill(ellipse(x + k * w * 0.48, y, w * 0.22, 0.022)))


def draw_mouth(face: Face) -> None:
    c, canvas = face.character, face.canvas
    upper, lower = face.mouth()
    t = np.linspace(-1, 1, len(upper))
    rise = c.lip_h * (1 - np.abs(t) ** 1.7) * (1 - 0.28 * np.exp(-((t / 0.18) ** 2)))
    drop = c.lip_h * 1.3 * (1 - t**2) ** 0.8
    soft = face.soft(0.006)
    canvas.paint(
        tone(c.lips, 0.85),
        canvas.fill(np.concatenate([upper - np.stack([0 * t, rise], 1), upper[::-1] + [0, 0.01]]), soft),
    )
    canvas.paint(c.lips, canvas.fill(np.concatenate([lower, (lower + np.stack([0 * t, drop], 1))[::-1]]), soft))
    if face.mood.opening:
        _draw_opening(face, upper, lower, soft)
    else:
        canvas.paint(INK if face.flat else tone(c.lips, 0.32), canvas.stroke(upper, 0.03, soft), 0.95)
    if not face.flat:
        gloss = ellipse(
            float(lower[12, 0]) - 0.02, float(lower[12, 1]) + c.lip_h * 0.65, c.mouth_w * 0.35, c.lip_h * 0.2
        )
        canvas.paint((255, 236, 232), canvas.fill(gloss, 0.014), 0.45)
        canvas.paint(
            tone(c.skin, 0.6),
            canvas.fill(
                ellipse(float(lower[12, 0]), float(lower[12, 1]) + c.lip_h * 1.6 + 0.04, c.mouth_w * 0.6, 0.024), 0.022
            ),
            0.4,
        )


def _draw_opening(face: Face, upper: np.ndarray, lower: np.ndarray, soft: float) -> None:
    canvas = face.canvas
    opening = canvas.fill(np.concatenate([upper, lower[::-1]]), soft)
    canvas.paint((96, 26, 36), opening)
    middle = lower[len(lower) // 2]
    canvas.paint(
        (214, 92, 100), canvas.fill(ellipse(float(middle[0]), float(middle[1]), 0.13, 0.06), soft).within(opening)
    )
    teeth = 0.075 if face.shot.expression == "smiling" else 0.0
    if teeth:
        canvas.paint(
            (252, 250, 246), canvas.fill(np.concatenate([upper, (upper + [0, teeth])[::-1]]), soft).within(opening)
        )


def draw_beard(face: Face) -> None:
    """Cheeks to chin with a moustache, and an island for the mouth."""
    c, canvas = face.character, face.canvas
    if not c.beard:
        return
    w, top = c.width, c.nose_l + 0.02
    edge = [
        (w * 0.99, 0.12),
        (w * 0.8, top + 0.02),
        (0.3, top + 0.06),
        (0, top + 0.03),
        (-0.3, top + 0.06),
        (-w * 0.8, top + 0.02),
        (-w * 0.99, 0.12),
    ]
    outline = head_outline(c, 0.045)
    low = outline[outline[:, 1] > 0.12]
    low = low[np.argsort(-np.arctan2(low[:, 1], low[:, 0]))]
    shape = canvas.fill(np.concatenate([curve(edge, closed=False), low]), face.soft(0.016))
    upper, lower = face.mouth()
    x, y = face.shift(0.6), float((upper[12, 1] + lower[12, 1]) / 2)
    mouth = canvas.fill(
        ellipse(x, y + 0.015, c.mouth_w * face.mood.mouth_width * 0.98, 0.07 + c.lip_h + face.mood.opening * 0.55),
        face.soft(0.016),
    )
    colour = tone(c.hair, 0.82)
    canvas.paint(colour, shape.without(mouth), 1.0 if face.flat else 0.94)
    if not face.flat:
        xs, ys = canvas.coordinates(shape)
        canvas.light(
            1.18 - 0.35 * np.clip(ys - top, 0, 1) - 0.12 * xs * np.sign(face.shot.light_x) * -1, shape.without(mouth)
        )


def draw_glasses(face: Face) -> None:
    c, canvas = face.character, face.canvas
    if not c.glasses:
        return
    soft, y = face.soft(0.004), 0.02
    rx, ry = c.eye_dx * 0.72, max(0.21, c.eye_h * 1.75)
    for side in (-1, 1):
        x = face.eye_x(side)
        rim = ellipse(x, y, rx, ry) if c.round_frame else _rounded_box(x, y, rx, ry * 0.92)
        canvas.paint((255, 255, 255), canvas.fill(rim), 0.16)
        canvas.paint(c.frame, canvas.stroke(np.concatenate([rim, rim[:2]]), 0.052, soft))
        arm = np.array([(x + side * rx, y - 0.04), (side * (c.width + 0.01) - face.shift(0.3), y - 0.07)])
        canvas.paint(c.frame, canvas.stroke(arm, 0.045, soft))
    bridge = ellipse(
        (face.eye_x(-1) + face.eye_x(1)) / 2,
        y - 0.01,
        max(0.05, c.eye_dx - rx + 0.02),
        0.05,
        start_deg=180,
        end_deg=360,
        n=12,
    )
    canvas.paint(c.frame, canvas.stroke(bridge, 0.05, soft))


def _rounded_box(x: float, y: float, rx: float, ry: float) -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    cos, sin = np.cos(t), np.sin(t)
    return np.stack([x + rx * np.sign(cos) * np.abs(cos) ** 0.4, y + ry * np.sign(sin) * np.abs(sin) ** 0.4], 1)
