"""What the accepted photos show together and what they lack: angles, distances, light, expressions, surroundings."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personal_avatar.domain import Coverage, Face, Photo, Quality
from personal_avatar.photos.limits import BENT_DEG, CLOSED_BELOW, SIDE_LIGHT_FROM, SIDE_VIEW_DEG
from personal_avatar.photos.surroundings import Surroundings, kinds

FEWEST_FOR_VARIETY = 5
FRONT_DEG = 15.0
# Height of the face in the shorter side of the photo.
CLOSE_FROM, FAR_BELOW = 0.45, 0.2
DARK_BELOW, BRIGHT_FROM = 0.5, 0.85
# Against the median of the set, for the colour of the skin itself is the same in all of it.
WARMER_BY = 0.07
OPEN_FROM = 0.25
SAME_POSE_DEG = 12.0
SAME_BRIGHTNESS = 0.05
SAME_SIDE = 0.1

NO_LEFT, NO_RIGHT, SAME_POSE, SAME_LIGHT = "NO_LEFT", "NO_RIGHT", "SAME_POSE", "SAME_LIGHT"
ALL_CLOSE, ALL_FAR, SAME_SCENE, SAME_CLOTHES = "ALL_CLOSE", "ALL_FAR", "SAME_SCENE", "SAME_CLOTHES"
SAME_EXPRESSION = "SAME_EXPRESSION"


@dataclass(frozen=True)
class Shown:
    """One accepted photo."""

    photo: Photo
    face: Face
    quality: Quality
    around: Surroundings


def coverage(shown: Sequence[Shown]) -> Coverage:
    """Counts, and codes of what is missing; nothing is called missing of fewer than five photos."""
    found = Coverage(
        photos=len(shown), angles=_angles(shown), distances=_distances(shown), light=_light(shown),
        expressions=_expressions(shown), scenes=kinds([one.around.ground for one in shown]),
        clothes=kinds([one.around.clothes for one in shown]),
    )  # fmt: skip
    if len(shown) < FEWEST_FOR_VARIETY:
        return found
    return Coverage(**{**found.__dict__, "missing": tuple(_missing(found, shown))})


def turn_spread_deg(shown: Sequence[Shown]) -> float:
    """Between the head farthest to one side and the one farthest to the other."""
    turns = [one.quality.yaw_deg for one in shown]
    return max(turns) - min(turns) if turns else 0.0


def _missing(found: Coverage, shown: Sequence[Shown]) -> list[str]:
    codes = []
    sides = [found.angles[side] + found.angles[f"profile_{side}"] for side in ("left", "right")]
    if turn_spread_deg(shown) < SAME_POSE_DEG:
        codes.append(SAME_POSE)
    elif not all(sides):
        codes += [code for code, count in zip((NO_LEFT, NO_RIGHT), sides, strict=True) if not count]
    if _same_light(shown):
        codes.append(SAME_LIGHT)
    if found.clothes == 1:
        codes.append(SAME_CLOTHES)
    if found.scenes == 1:
        codes.append(SAME_SCENE)
    if found.distances["close"] == found.photos:
        codes.append(ALL_CLOSE)
    if found.distances["far"] == found.photos:
        codes.append(ALL_FAR)
    if found.expressions and found.photos in (found.expressions["mouth_closed"], found.expressions["mouth_open"]):
        codes.append(SAME_EXPRESSION)
    return codes


def _same_light(shown: Sequence[Shown]) -> bool:
    """Equally bright and from the same side everywhere."""
    brightness, sides = [one.quality.brightness for one in shown], [one.around.side for one in shown]
    return max(brightness) - min(brightness) < SAME_BRIGHTNESS and max(sides) - min(sides) < SAME_SIDE


def _angles(shown: Sequence[Shown]) -> dict[str, int]:
    """Each photo under one word: bent up or down where that is what is special about it, else how it is turned."""
    counts = dict.fromkeys(("front", "left", "right", "profile_left", "profile_right", "up", "down"), 0)
    for one in shown:
        counts[_angle(one.quality)] += 1
    return counts


def _angle(quality: Quality) -> str:
    yaw, pitch = quality.yaw_deg, quality.pitch_deg
    if abs(pitch) > BENT_DEG and abs(yaw) < 2 * FRONT_DEG:
        return "down" if pitch > 0 else "up"
    if abs(yaw) < FRONT_DEG:
        return "front"
    side = "right" if yaw > 0 else "left"
    return f"profile_{side}" if abs(yaw) > SIDE_VIEW_DEG else side


def _distances(shown: Sequence[Shown]) -> dict[str, int]:
    counts = {"close": 0, "portrait": 0, "far": 0}
    for one in shown:
        share = one.face.height_px / min(one.photo.size_px)
        counts["close" if share >= CLOSE_FROM else "far" if share < FAR_BELOW else "portrait"] += 1
    return counts


def _light(shown: Sequence[Shown]) -> dict[str, int]:
    """How bright (one word a photo); besides, whether the light comes from a side, and is warmer or colder than usual
    in the set."""
    counts = dict.fromkeys(("dark", "medium", "bright", "side", "warm", "cold"), 0)
    usual = float(np.median([one.around.warmth for one in shown])) if shown else 0.0
    for one in shown:
        bright = one.quality.brightness
        counts["dark" if bright < DARK_BELOW else "bright" if bright >= BRIGHT_FROM else "medium"] += 1
        counts["side"] += abs(one.around.side) > SIDE_LIGHT_FROM
        counts["warm"] += one.around.warmth > usual + WARMER_BY
        counts["cold"] += one.around.warmth < usual - WARMER_BY
    return counts


def _expressions(shown: Sequence[Shown]) -> dict[str, int]:
    """Empty where nothing could be measured in half of the photos."""
    told = [one.quality for one in shown if one.quality.mouth_open is not None and one.quality.eyes_open is not None]
    if 2 * len(told) < len(shown) or not told:
        return {}
    opened = sum((one.mouth_open or 0.0) > OPEN_FROM for one in told)
    closed = sum((one.eyes_open or 0.0) < CLOSED_BELOW for one in told)
    return {"mouth_closed": len(told) - opened, "mouth_open": opened, "eyes_closed": closed}
