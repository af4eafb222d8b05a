"""Who is drawn: random characters, and random shots of one character. Everything follows from one integer seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .canvas import Colour

STYLES = ("flat", "shaded", "soft3d")
SEXES = ("man", "woman")
CUTS = ("short", "long", "bob", "curly", "bald")
EXPRESSIONS = ("smiling", "neutral", "sad", "surprised")
NECKLINES = ("crew", "v", "collar", "hood")
SKIN: dict[str, list[Colour]] = {
    "pale": [(255, 226, 208), (252, 218, 200)],
    "light": [(246, 208, 180), (240, 198, 166)],
    "tan": [(224, 172, 130), (208, 154, 112)],
    "dark": [(150, 100, 70), (124, 80, 54)],
}
HAIR: dict[str, Colour] = {
    "black": (30, 26, 32),
    "brown": (104, 62, 34),
    "blonde": (240, 208, 112),
    "red": (206, 78, 30),
    "grey": (164, 166, 172),
    "blue": (52, 92, 214),
    "pink": (238, 112, 178),
    "green": (56, 160, 84),
}
HAIR_SHARE = (0.18, 0.2, 0.17, 0.15, 0.1, 0.07, 0.07, 0.06)
IRIS: dict[str, Colour] = {
    "blue": (66, 130, 206),
    "green": (66, 138, 76),
    "brown": (92, 56, 30),
    "grey": (112, 122, 132),
}
COLOURS: dict[str, Colour] = {
    "red": (210, 46, 46),
    "green": (56, 158, 74),
    "blue": (48, 92, 208),
    "yellow": (242, 210, 62),
    "purple": (134, 70, 182),
    "orange": (240, 136, 42),
    "pink": (244, 154, 194),
    "white": (244, 244, 242),
    "black": (36, 36, 42),
    "grey": (146, 150, 156),
}


@dataclass(frozen=True)
class Character:
    """One identity. Lengths in face units (half the height of the face)."""

    sex: str
    skin_name: str
    hair_name: str
    cut: str
    iris_name: str
    beard: bool
    glasses: bool
    skin: Colour
    hair: Colour
    iris: Colour
    lips: Colour
    frame: Colour
    round_frame: bool
    width: float
    jaw: float
    chin: float
    eye_dx: float
    eye_w: float
    eye_h: float
    tilt: float
    brow_h: float
    brow_y: float
    brow_arch: float
    nose_l: float
    nose_w: float
    mouth_w: float
    mouth_y: float
    lip_h: float
    parting: float
    volume: float
    fringe: float
    freckles: bool


@dataclass(frozen=True)
class Shot:
    """One picture of a character: pose, face, clothes, light, background."""

    expression: str
    style: str
    shirt_name: str
    background_name: str
    neckline: str
    shirt: Colour
    background: Colour
    roll_deg: float
    yaw: float
    scale: float
    dx: float
    dy: float
    gaze: float
    strength: float
    light_x: float
    seed: int


def random_character(seed: int, **fixed: Any) -> Character:
    """A new identity; fields given by name are kept."""
    rng = np.random.default_rng([seed, 1])
    sex = fixed.get("sex") or str(rng.choice(SEXES))
    man = sex == "man"
    skin_name, hair_name = str(rng.choice(list(SKIN))), str(rng.choice(list(HAIR), p=HAIR_SHARE))
    skin_name, hair_name = fixed.get("skin_name", skin_name), fixed.get("hair_name", hair_name)
    cut = str(rng.choice(CUTS, p=(0.46, 0.12, 0.0, 0.2, 0.22) if man else (0.12, 0.36, 0.3, 0.22, 0.0)))
    iris_name = str(rng.choice(list(IRIS)))
    skin = _near(rng, SKIN[skin_name][rng.integers(2)], 4)
    lips = np.array((196, 112, 98) if man else (218, 84, 100)) * (0.78 if skin_name == "dark" else 1.0)
    values: dict[str, Any] = dict(
        sex=sex,
        skin_name=skin_name,
        hair_name=hair_name,
        cut=cut,
        iris_name=iris_name,
        skin=skin,
        beard=bool(man and rng.random() < 0.42),
        glasses=bool(rng.random() < 0.33),
        hair=_near(rng, HAIR[hair_name], 7),
        iris=_near(rng, IRIS[iris_name], 8),
        lips=_near(rng, tuple(lips), 8),
        frame=[(32, 30, 36), (32, 30, 36), (110, 46, 30), (40, 52, 110)][rng.integers(4)],
        round_frame=bool(rng.random() < 0.5),
        parting=float(rng.uniform(-0.6, 0.6)),
        volume=float(rng.uniform(0.08, 0.2)),
        fringe=float(rng.uniform(0, 1)),
        freckles=bool(rng.random() < 0.1),
        **_geometry(rng, man),
    )
    return Character(**{**values, **fixed})


def _geometry(rng: np.random.Generator, man: bool) -> dict[str, float]:
    ranges = {
        "width": (0.69, 0.89) if man else (0.64, 0.8),
        "jaw": (0.04, 0.26) if man else (0.2, 0.4),
        "chin": (-0.02, 0.12) if man else (-0.05, 0.06),
        "eye_dx": (0.29, 0.41),
        "eye_w": (0.14, 0.19) if man else (0.16, 0.22),
        "eye_h": (0.07, 0.105) if man else (0.09, 0.14),
        "tilt": (-0.08, 0.06) if man else (-0.04, 0.12),
        "brow_h": (0.03, 0.065) if man else (0.016, 0.034),
        "brow_y": (0.14, 0.21) if man else (0.17, 0.25),
        "brow_arch": (-0.01, 0.05) if man else (0.01, 0.09),
        "nose_l": (0.33, 0.5) if man else (0.27, 0.43),
        "nose_w": (0.11, 0.2) if man else (0.08, 0.15),
        "mouth_w": (0.21, 0.33) if man else (0.18, 0.3),
        "lip_h": (0.026, 0.05) if man else (0.042, 0.085),
    }
    values = {name: float(rng.uniform(*bounds)) for name, bounds in ranges.items()}
    values["mouth_y"] = float(values["nose_l"] + rng.uniform(0.2, 0.27))
    return values


def random_shot(seed: int, movement: float = 1.0, **fixed: Any) -> Shot:
    """A new picture; fields given by name are kept. A shot fits every character.

    movement: 0 looks straight into the camera from the middle of the picture, 1 moves, turns and tilts freely.
    """
    rng = np.random.default_rng([seed, 2])
    shirt_name = fixed.get("shirt_name") or str(rng.choice(list(COLOURS)))
    background_name = fixed.get("background_name") or str(rng.choice(list(COLOURS)))
    values: dict[str, Any] = {
        "expression": str(rng.choice(EXPRESSIONS, p=(0.32, 0.26, 0.21, 0.21))),
        "style": str(rng.choice(STYLES)),
        "shirt_name": shirt_name,
        "background_name": background_name,
        "neckline": str(rng.choice(NECKLINES)),
        "shirt": _near(rng, COLOURS[shirt_name], 7),
        "background": _near(rng, COLOURS[background_name], 7),
        "roll_deg": float(movement * rng.uniform(-6, 6)),
        "yaw": float(movement * rng.uniform(-0.14, 0.14)),
        "scale": float(0.69 + movement * rng.uniform(-0.035, 0.035)),
        "dx": float(movement * rng.uniform(-0.03, 0.03)),
        "dy": float(movement * rng.uniform(-0.02, 0.02)),
        "gaze": float(rng.uniform(-0.3, 0.3)),
        "strength": float(rng.uniform(0.75, 1.1)),
        "light_x": float(rng.choice((-1, 1)) * rng.uniform(0.35, 0.7)),
        "seed": int(rng.integers(2**31)),
    }
    return Shot(**{**values, **fixed})


def _near(rng: np.random.Generator, colour: Colour, deviation: float) -> Colour:
    return tuple(float(v) for v in np.clip(np.asarray(colour, float) + rng.normal(0, deviation, 3), 0, 255))


def attributes(character: Character, shot: Shot) -> dict[str, Any]:
    """What a caption may say, as plain JSON values."""
    return {
        "style": shot.style,
        "sex": character.sex,
        "hair": character.hair_name,
        "cut": character.cut,
        "shirt": shot.shirt_name,
        "background": shot.background_name,
        "glasses": character.glasses,
        "beard": character.beard,
        "expression": shot.expression,
        "skin": character.skin_name,
        "iris": character.iris_name,
    }
