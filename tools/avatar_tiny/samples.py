"""Draw the sample photos of the demo: ten pictures of one character, and five that a photo check should refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from .canvas import Canvas, curve, ellipse, tone
from .characters import Character, random_character, random_shot
from .drawing import draw
from .models import ASSETS

HELD_OUT_SEED = 10_000_000
"""Characters from here on are never drawn for training."""
SUBJECT_SEED = HELD_OUT_SEED + 3
STRANGER_SEED = HELD_OUT_SEED + 34
SIZE_PX = 512
NOTE = """# Sample pictures

Drawn by `python -m tools.avatar_tiny samples`. They show nobody: a character made of random numbers that avatar-tiny
was not trained on. No photograph and no foreign picture is in them; they may be used under the licence of this
repository.

`01.jpg` to `10.jpg` show the character. The others are there to be refused: `blurred.jpg`, `two-people.jpg`,
`someone-else.jpg`, `duplicate.jpg` (a smaller, recompressed `03.jpg`) and `no-face.jpg`.
"""
SHOTS = (
    ("shaded", "smiling", "blue", "white", "crew"),
    ("soft3d", "neutral", "green", "grey", "collar"),
    ("shaded", "surprised", "yellow", "blue", "v"),
    ("soft3d", "smiling", "orange", "black", "hood"),
    ("shaded", "neutral", "purple", "green", "collar"),
    ("soft3d", "sad", "grey", "red", "crew"),
    ("shaded", "smiling", "white", "purple", "hood"),
    ("soft3d", "surprised", "pink", "blue", "v"),
    ("soft3d", "smiling", "red", "yellow", "collar"),
    ("flat", "smiling", "green", "orange", "crew"),
)
"""Style, expression, background, shirt, neckline."""


def subject() -> Character:
    return random_character(SUBJECT_SEED)


def draw_subject(number: int, size_px: int = SIZE_PX) -> np.ndarray:
    """Picture 0..9 of the subject, uint8 [size, size, 3]."""
    style, expression, background, shirt, neckline = SHOTS[number]
    shot = random_shot(
        SUBJECT_SEED * 100 + number,
        style=style,
        expression=expression,
        background_name=background,
        shirt_name=shirt,
        neckline=neckline,
    )
    return draw(subject(), shot, size_px).picture


def draw_two_people(size_px: int = SIZE_PX) -> np.ndarray:
    """Subject and stranger side by side, uint8 [size, 1.5 * size, 3]."""
    pair = []
    for seed, character in ((1, subject()), (2, random_character(STRANGER_SEED))):
        shot = random_shot(seed, style="shaded", background_name="grey", expression="smiling", roll_deg=0.0)
        pair.append(
            draw(character, replace(shot, background=(150, 160, 172)), size_px).picture[:, size_px // 8 : -size_px // 8]
        )
    return np.concatenate(pair, 1)


def draw_landscape(size_px: int = SIZE_PX) -> np.ndarray:
    """Hills, a sun and a lake, nobody in it, uint8 [size, size, 3]."""
    canvas = Canvas(size_px, (0.5, 0.5), 1.0, 0.0)
    whole = canvas.whole()
    canvas.rgb[:] = (126, 186, 236)
    _, y = canvas.coordinates(whole)
    canvas.paint((252, 232, 206), whole.times(np.clip(0.5 + y, 0, 1)))
    canvas.paint((255, 240, 190), canvas.fill(ellipse(0.45, -0.45, 0.16, 0.16), 0.01))
    for level, colour in ((0.0, (142, 170, 190)), (0.18, (104, 150, 120)), (0.42, (70, 128, 84))):
        ridge = [
            (x, level + 0.14 * np.sin(3.1 * x + 5 * level) + 0.05 * np.sin(9 * x + level * 20))
            for x in np.linspace(-1.2, 1.2, 13)
        ]
        canvas.paint(
            colour, canvas.fill(np.concatenate([curve(ridge, closed=False), [(1.2, 1.2), (-1.2, 1.2)]]), 0.004)
        )
    canvas.paint((92, 158, 204), canvas.fill(ellipse(-0.25, 0.8, 0.62, 0.14), 0.01))
    for x, height in ((0.5, 0.34), (0.66, 0.26), (0.82, 0.4)):
        canvas.paint((84, 60, 44), canvas.stroke(np.array([(x, 0.9), (x, 0.9 - height * 0.5)]), 0.03))
        canvas.paint(
            tone((52, 104, 66), 0.9),
            canvas.fill(np.array([(x - 0.12, 0.8), (x + 0.12, 0.8), (x, 0.8 - height)]), 0.006),
        )
    return np.clip(canvas.rgb, 0, 255).astype(np.uint8)


def write_samples(folder: Path = ASSETS / "samples", size_px: int = SIZE_PX) -> list[Path]:
    """All sample pictures as JPEG, and their README."""
    folder.mkdir(parents=True, exist_ok=True)
    good = {f"{number + 1:02d}": Image.fromarray(draw_subject(number, size_px)) for number in range(len(SHOTS))}
    stranger = draw(
        random_character(STRANGER_SEED), random_shot(STRANGER_SEED, style="soft3d", expression="smiling"), SIZE_PX
    ).picture
    bad = {
        "blurred": good["05"].filter(ImageFilter.GaussianBlur(size_px / 57)),
        "two-people": Image.fromarray(draw_two_people(size_px)),
        "someone-else": Image.fromarray(stranger),
        "duplicate": good["03"].resize((size_px * 59 // 64,) * 2, Image.Resampling.LANCZOS),
        "no-face": Image.fromarray(draw_landscape(size_px)),
    }
    paths = []
    for name, picture in {**good, **bad}.items():
        paths.append(folder / f"{name}.jpg")
        picture.save(paths[-1], quality=82 if name == "duplicate" else 93)
    (folder / "README.md").write_text(NOTE, encoding="utf-8")
    return paths
