"""Where in the picture every person acts: boxes, painted masks, or stripes from left to right."""
from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from personal_avatar.errors import InvalidSettings
from personal_avatar.identities import Subject
from personal_avatar.problems import stated

Box = tuple[float, float, float, float]  # left, top, right, bottom

LEFT_TO_RIGHT = "left-to-right"


def masks(
    people: Sequence[Subject], width: int, height: int, faces: Sequence[Box] | None, layout: str
) -> tuple[np.ndarray | None, ...]:
    """For each person float32 0..1 of (height, width), which may be the size of the picture or of its latents; None:
    everywhere.

    A person's own mask wins over the own box, and both over `layout`. Several people of whom nobody has a place stand
    from left to right, whatever the layout: in one place they would become one blended face. Regions may overlap:
    whoever uses them lets people share. `faces`: the people's faces from left to right, left and right in pixels of the
    same width; none: the stripes are equal. Raises `InvalidSettings` with the name of the person whose box or mask
    holds nothing.
    """
    stripes: Sequence[Box | None] = [None] * len(people)
    placed = any(person.box is not None or person.mask is not None for person in people)
    if len(people) > 1 and (layout == LEFT_TO_RIGHT or not placed):
        stripes = _stripes(len(people), width, faces or ())
    return tuple(
        _mask(person, person.name or f"Person {number}", width, height, stripe)
        for number, (person, stripe) in enumerate(zip(people, stripes, strict=True), 1)
    )


def _mask(person: Subject, name: str, width: int, height: int, stripe: Box | None) -> np.ndarray | None:
    if person.mask is not None:
        return _resized(person.mask, name, width, height)
    box = _checked(person.box, name) if person.box is not None else stripe
    if box is None:
        return None
    left, top, right, bottom = box
    covered = np.outer(_covered(top, bottom, height), _covered(left, right, width))
    return covered.astype(np.float32)


def _covered(first: float, last: float, length: int) -> np.ndarray:
    """How much of each of `length` pixels lies between two shares."""
    pixels = np.arange(length)
    return np.clip(np.minimum(pixels + 1, last * length) - np.maximum(pixels, first * length), 0.0, 1.0)


def _checked(box: Box, name: str) -> Box:
    left, top, right, bottom = box
    if not (0.0 <= left < right <= 1.0 and 0.0 <= top < bottom <= 1.0):
        raise stated(
            InvalidSettings, "failure.empty_box", "remedy.box", who=name,
            sides=", ".join(f"{side:g}" for side in box),
        )
    return box


def _resized(mask: np.ndarray, name: str, width: int, height: int) -> np.ndarray:
    """By area: a pixel is as white as what it covers."""
    from PIL import Image

    if mask.ndim != 2 or not mask.size or not mask.any():
        raise stated(InvalidSettings, "failure.empty_mask", "remedy.paint", who=name)
    resized = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.clip(np.asarray(resized, dtype=np.float32) / 255.0, 0.0, 1.0)


def _stripes(count: int, width: int, faces: Sequence[Box]) -> list[Box]:
    """`count` boxes of full height, split in the middle between neighbouring faces; equal ones without faces, or where
    faces above each other or outside would leave somebody nothing."""
    if faces and len(faces) != count:
        raise stated(InvalidSettings, "failure.too_few_faces", "remedy.everybody_once", found=len(faces), count=count)
    edges = _middles(faces, width)
    if not faces or any(right <= left for left, right in pairwise(edges)):
        edges = [number / count for number in range(count + 1)]
    return [(left, 0.0, right, 1.0) for left, right in pairwise(edges)]


def _middles(faces: Sequence[Box], width: int) -> list[float]:
    """0, the middles between neighbouring faces in shares of the width, 1."""
    centres = sorted((left + right) / 2 / width for left, _, right, _ in faces)
    return [0.0, *(min(max((one + other) / 2, 0.0), 1.0) for one, other in pairwise(centres)), 1.0]
