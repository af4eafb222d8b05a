"""How far eyes and mouth are open, from 106 points."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from painted_faces import PaintedFaces, picture
from personal_avatar.domain import Face
from personal_avatar.faces.analyser import Analyser, Recogniser
from personal_avatar.faces.landmarks import CORNERS_OF_MOUTH, EYES, LIPS, eye_opening, mouth_opening
from personal_avatar.photos.expression import CLOSED, OPEN, expression


def outline(left: float, right: float, mouth: float, scale: float = 1.0, tilt_deg: float = 0.0) -> np.ndarray:
    """Eyes and mouth one unit wide, open by these shares of it."""
    points = np.zeros((106, 2))
    for (*lids, corners), height, x in zip(EYES, (left, right), (0.0, 2.0), strict=True):
        points[corners[0]], points[corners[1]] = (x, 0), (x + 1, 0)
        for place, (upper, lower) in enumerate(lids, start=1):
            points[upper], points[lower] = (x + place / 4, -height / 2), (x + place / 4, height / 2)
    points[list(CORNERS_OF_MOUTH)] = (0.5, 2), (1.5, 2)
    points[list(LIPS)] = (1, 2 - mouth / 2), (1, 2 + mouth / 2)
    cos, sin = np.cos(np.radians(tilt_deg)), np.sin(np.radians(tilt_deg))
    return scale * points @ np.array([[cos, sin], [-sin, cos]])


@given(st.floats(0, 0.6), st.floats(0, 0.6), st.floats(0, 1), st.floats(1, 300), st.floats(-180, 180))
def test_openings_are_shares_whatever_size_and_tilt_the_face_has(
    left: float, right: float, mouth: float, scale: float, tilt_deg: float
) -> None:
    points = outline(left, right, mouth, scale, tilt_deg)
    assert eye_opening(points) == pytest.approx(max(left, right), abs=1e-6)
    assert mouth_opening(points) == pytest.approx(mouth, abs=1e-6)


@pytest.mark.parametrize(("eyes", "told"), [(CLOSED, 0.0), (0.0, 0.0), (OPEN, 1.0), (0.5, 1.0), (0.19, 0.5)])
def test_eyes_are_told_from_closed_to_open(eyes: float, told: float) -> None:
    unused = Recogniser("none", 0.5, lambda aligned: np.zeros(2))
    analyser = Analyser(None, unused, lambda image, face: outline(eyes, eyes, 0.25))  # type: ignore[arg-type]
    found = expression(np.zeros((9, 9, 3), np.uint8), Face((0, 0, 9, 9), ((0, 0),) * 5, 1.0), analyser)
    assert found == {"eyes_open": told, "mouth_open": 0.5}


def test_nothing_is_told_by_an_analyser_that_sees_five_points() -> None:
    image = picture(1)
    assert expression(image, PaintedFaces().detect(image)[0], PaintedFaces()) == {}
