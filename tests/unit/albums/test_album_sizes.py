"""Cutting around a face: always inside, always the shape, never through the face where the picture is large enough."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.albums.sizes import SIZES, Box, Size, cut_box, framed, size_named
from personal_avatar.errors import InvalidSettings
from PIL import Image

CUT = [size for size in SIZES.values() if size.shape is not None]


@st.composite
def faces(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    width, height = draw(st.integers(8, 2000)), draw(st.integers(8, 2000))
    left, top = draw(st.floats(0, width - 4)), draw(st.floats(0, height - 4))
    right, bottom = draw(st.floats(left + 2, width)), draw(st.floats(top + 2, height))
    return (width, height), (left, top, right, bottom)


@given(faces(), st.sampled_from(CUT), st.booleans())
def test_a_cut_lies_in_the_picture_and_has_its_shape(
    found: tuple[tuple[int, int], Box], size: Size, with_face: bool
) -> None:
    (width, height), face = found
    assert size.shape
    left, top, right, bottom = cut_box((width, height), size.shape, face if with_face else None, size.face_share)
    assert 0 <= left < right <= width and 0 <= top < bottom <= height
    assert abs((right - left) - (bottom - top) * size.shape) <= 1.5


@given(faces(), st.sampled_from(CUT))
def test_a_face_that_fits_is_not_cut(found: tuple[tuple[int, int], Box], size: Size) -> None:
    (width, height), face = found
    assert size.shape
    left, top, right, bottom = cut_box((width, height), size.shape, face, size.face_share)
    if face[2] - face[0] < right - left - 2:
        assert left <= face[0] + 1 and face[2] - 1 <= right
    middle = (face[1] + face[3]) / 2
    assert top <= middle <= bottom


def test_a_portrait_photo_for_a_network_is_400_px_of_which_the_face_takes_half() -> None:
    image = np.zeros((1200, 1000, 3), np.uint8)
    image[300:500, 400:560] = 255
    made = framed(image, SIZES["linkedin"], (400, 300, 560, 500))
    assert made.shape == (400, 400, 3)
    rows = np.flatnonzero(made[..., 0].max(axis=1) > 128)
    columns = np.flatnonzero(made[..., 0].max(axis=0) > 128)
    assert 195 <= len(rows) <= 205 and abs((columns[0] + columns[-1]) / 2 - 200) < 3
    assert abs((rows[0] + rows[-1]) / 2 - 180) < 3


def test_a_round_picture_is_transparent_outside_and_whole_inside() -> None:
    made = framed(np.full((300, 200, 3), 90, np.uint8), SIZES["round"], None)
    assert made.shape == (200, 200, 4)
    assert made[0, 0, 3] == made[-1, -1, 3] == 0 and made[100, 100, 3] == 255 and made[100, 1, 3] > 200
    assert abs((made[..., 3] / 255).mean() - np.pi / 4) < 0.01
    assert set(np.unique(made[..., :3])) == {90}


def test_nothing_larger_than_itself_is_drawn_for_a_large_round_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, new = [], Image.new
    monkeypatch.setattr(Image, "new", lambda *given: (drawn.append(given[1]), new(*given))[1])
    made = framed(np.full((1600, 1700, 3), 90, np.uint8), SIZES["round"], None)
    assert max(max(size) for size in drawn) == 1700 and abs((made[..., 3] / 255).mean() - np.pi / 4) < 0.001


@pytest.mark.parametrize(("name", "shape"), [("square", (600, 600)), ("portrait", (750, 600)), ("story", (800, 450))])
def test_without_a_face_the_largest_middle_is_cut(name: str, shape: tuple[int, int]) -> None:
    assert framed(np.zeros((800, 600, 3), np.uint8), SIZES[name], None).shape[:2] == shape


def test_the_original_is_the_picture_itself() -> None:
    image = np.zeros((3, 4, 3), np.uint8)
    assert framed(image, SIZES["original"], None) is image


def test_an_unknown_size_names_those_that_there_are() -> None:
    with pytest.raises(InvalidSettings, match="linkedin"):
        size_named("passport")
