"""Light: backgrounds, the head as a lit height field, and hair with strands and a shine."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .canvas import Canvas, Mask, ellipse, tone
from .characters import Character, Shot
from .features import Face
from .hair import strands


def draw_background(canvas: Canvas, shot: Shot, rng: np.random.Generator) -> None:
    """Flat: one colour, a paler disc. Shaded: a vertical gradient. Soft 3D: a spot of light and a few soft discs."""
    whole = canvas.whole()
    canvas.rgb[:] = shot.background
    x, y = canvas.coordinates(whole)
    if shot.style == "flat":
        canvas.paint(tone(shot.background, 1.18), canvas.fill(ellipse(0, 0.1, 1.22, 1.3)))
    elif shot.style == "shaded":
        canvas.light(1.08 - 0.17 * (y + 0.4), whole)
    else:
        for _ in range(3):
            disc = ellipse(rng.uniform(-1.4, 1.4), rng.uniform(-1.4, 1), *([rng.uniform(0.15, 0.4)] * 2))
            canvas.paint(tone(shot.background, 1.35), canvas.fill(disc, 0.05), 0.35)
        canvas.light(1.16 - 0.3 * np.clip(np.hypot(x - 0.4 * shot.light_x, y + 0.2) / 1.5, 0, 1.3) ** 1.5, whole)


def light_head(face: Face) -> None:
    """Airbrushed roundness in the shaded style; key light, rim light and highlights from a height field in soft 3D."""
    x, y = face.canvas.coordinates(face.head)
    if face.shot.style == "shaded":
        c, side = face.character, face.shot.light_x
        far = ((x - side * 0.3) / (c.width * 1.2)) ** 2 + ((y + 0.12) / 1.45) ** 2
        face.canvas.light(1.05 - 0.26 * np.clip(far, 0, 1.4), face.head)
        return
    factor, shine = _lit_skin(face, x[::2, ::2], y[::2, ::2])
    size = (x.shape[1], x.shape[0])
    face.canvas.light(_resized(factor, size), face.head)
    face.canvas.paint((255, 250, 244), face.head.times(_resized(shine, size)))


def _lit_skin(face: Face, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(factor on the skin's colour, strength of the highlight 0..1), float32, at the places x, y."""
    height = _height(face, x, y)
    step = float(x[0, 1] - x[0, 0]) if x.shape[1] > 1 else 0.02
    slope_y, slope_x = np.gradient(height, max(abs(step), 1e-3))
    normal = np.stack([-slope_x, -slope_y, np.ones_like(height)], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    key = np.array([face.shot.light_x, -0.6, 0.8])
    key /= np.linalg.norm(key)
    diffuse = 0.5 + 0.5 * (normal @ key)
    rim = np.clip(1 - normal[..., 2], 0, 1) ** 2 * np.clip(-normal[..., 0] * np.sign(face.shot.light_x), 0, 1)
    half = (key + [0, 0, 1]) / np.linalg.norm(key + [0, 0, 1])
    factor = 0.42 + 0.68 * np.clip(diffuse, 0, 1) ** 1.3 + 0.35 * rim
    return factor.astype(np.float32), (0.28 * np.clip(normal @ half, 0, 1) ** 30).astype(np.float32)


def _height(face: Face, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    c, yaw = face.character, face.shot.yaw

    def hill(cx: float, cy: float, sx: float, sy: float) -> np.ndarray:
        return np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)

    taper = 1 - c.jaw * np.clip(y, 0, 1) ** 2.2
    inside = 1 - (x / (c.width * taper * 1.06)) ** 2 - ((y - 0.05) / (1.08 + 0.5 * c.chin)) ** 2
    z = 0.72 * np.sqrt(np.clip(inside, 0.01, None))
    along = np.clip((y + 0.1) / c.nose_l, 0, 1)
    z += (
        0.13
        * along
        * np.exp(-(((x - yaw * 0.8 * along) / (0.07 + 0.5 * c.nose_w * along)) ** 2))
        * np.clip((c.nose_l + 0.04 - y) / 0.1, 0, 1)
    )
    for side in (-1, 1):
        z -= 0.06 * hill(side * c.eye_dx + yaw * 0.3, 0.0, 0.2, 0.15)
        z += 0.05 * hill(side * c.width * 0.55 + yaw * 0.3, 0.33, 0.22, 0.2)
    z += 0.045 * hill(yaw * 0.5, c.mouth_y, c.mouth_w * 1.2, 0.14) + 0.05 * hill(yaw * 0.4, 0.93, 0.2, 0.13)
    return z


def shade_hair(
    canvas: Canvas, mask: Mask, c: Character, shot: Shot, rng: np.random.Generator, depth: float = 1.0
) -> None:
    """Roundness, strands and a band of light; in the flat style only the band, with hard edges."""
    band = ellipse(shot.light_x * 0.35, -0.74 - c.volume * 0.6, c.width * 0.55, 0.07, shot.light_x * 0.3)
    if shot.style == "flat":
        if c.cut != "curly":
            canvas.paint(tone(c.hair, 1.22), canvas.fill(band).within(mask))
        return
    x, y = canvas.coordinates(mask)
    strength = 0.5 if shot.style == "soft3d" else 0.32
    far = np.hypot(x - 0.6 * shot.light_x, (y + 0.85) * 0.75)
    canvas.light((1.16 - strength * np.clip(far, 0, 1.3)) * depth, mask)
    _draw_strands(canvas, mask, c, shot, rng)
    canvas.paint(tone(c.hair, 1.5), canvas.fill(band, 0.05).within(mask), 0.4 if shot.style == "soft3d" else 0.28)


def _draw_strands(canvas: Canvas, mask: Mask, c: Character, shot: Shot, rng: np.random.Generator) -> None:
    if c.cut == "curly":
        for _ in range(26):
            angle, reach = rng.uniform(np.pi, 2 * np.pi), rng.uniform(0.9, 1.2)
            curl = ellipse(
                np.cos(angle) * (c.width + 0.15) * reach,
                np.sin(angle) * reach * 0.95,
                0.1,
                0.09,
                start_deg=20,
                end_deg=250,
                n=14,
            )
            canvas.light(rng.choice((0.72, 1.2)), canvas.stroke(curl, 0.035, 0.01).within(mask), 0.7)
        return
    for line in strands(c, rng, 9 if shot.style == "shaded" else 16):
        canvas.light(rng.choice((0.76, 0.84, 1.16)), canvas.stroke(line, 0.026, 0.008).within(mask), 0.8)


def _resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR), np.float32)
