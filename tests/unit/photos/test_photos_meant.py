"""Which faces of a photo may be meant, and which compete with it."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face, Quality
from personal_avatar.photos.meant import MOST, candidates, rivals


def face(width: float, score: float = 0.9) -> Face:
    return Face((0, 0, width, width), ((0, 0),) * 5, score)


def quality(sharpness: float) -> Quality:
    return Quality(sharpness, 0.7, 0, 0, 0)


def test_a_doubtful_blob_is_not_meant_even_when_it_is_the_largest() -> None:
    assert candidates([face(400, 0.7), face(300, 0.93), face(200, 0.9)]) == (1, 2)


def test_faces_far_behind_are_not_meant() -> None:
    assert candidates([face(400), face(90)]) == (0,)


@given(st.lists(st.tuples(st.floats(1, 900), st.floats(0.1, 1)), max_size=12))
def test_somebody_is_meant_wherever_there_is_a_face(rows: list[tuple[float, float]]) -> None:
    faces = sorted((face(width, score) for width, score in rows), key=lambda one: -one.width_px)
    found = candidates(faces)
    assert bool(found) == bool(faces) and len(found) <= MOST and list(found) == sorted(found)


@pytest.mark.parametrize(("width", "score", "sharpness", "competes"), [
    (280, 0.9, 60, True), (120, 0.9, 60, False), (280, 0.7, 60, False), (280, 0.9, 20, False), (500, 0.9, 60, True),
])
def test_a_rival_is_as_wide_as_sure_and_as_sharp(width: float, score: float, sharpness: float, competes: bool) -> None:
    other = (face(width, score), quality(sharpness))
    assert rivals(face(300), quality(60), [other], 0.45) == int(competes)
