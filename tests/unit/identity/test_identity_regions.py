"""Regions: boxes, masks and stripes become weights of pixels."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import InvalidSettings
from personal_avatar.identities import Subject
from personal_avatar.identity.regions import LEFT_TO_RIGHT, masks

Box = tuple[float, float, float, float]


def person(name: str = "", box: Box | None = None, mask: np.ndarray | None = None) -> Subject:
    return Subject((), name=name, box=box, mask=mask)


@pytest.mark.parametrize("layout", ["boxes", LEFT_TO_RIGHT])
def test_who_is_alone_and_says_nothing_is_everywhere(layout: str) -> None:
    assert masks([person()], 64, 48, None, layout) == (None,)
    assert masks([person()], 64, 48, [(0.0, 0.0, 9.0, 9.0)], layout) == (None,)


def test_a_box_is_white_inside_and_black_outside() -> None:
    (mask,) = masks([person(box=(0.25, 0.5, 0.75, 1.0))], 8, 4, None, "boxes")
    assert mask is not None
    assert (mask.dtype, mask.shape) == (np.float32, (4, 8))
    wanted = np.zeros((4, 8))
    wanted[2:, 2:6] = 1.0
    assert np.array_equal(mask, wanted)


shares = st.floats(0.0, 1.0).map(lambda share: round(share, 3))


@given(x=st.lists(shares, min_size=2, max_size=2, unique=True), y=st.lists(shares, min_size=2, max_size=2, unique=True),
       width=st.integers(1, 130), height=st.integers(1, 130))
def test_a_box_covers_its_share_of_any_picture(x: list[float], y: list[float], width: int, height: int) -> None:
    """To the part of a pixel: nothing is rounded away, however small the latents."""
    (left, right), (top, bottom) = sorted(x), sorted(y)
    (mask,) = masks([person(box=(left, top, right, bottom))], width, height, None, "boxes")
    assert mask is not None
    assert mask.mean() == pytest.approx((right - left) * (bottom - top), abs=1e-5)
    assert mask.min() >= 0.0 and mask.max() <= 1.0


@pytest.mark.parametrize(
    "box", [(0.5, 0.0, 0.5, 1.0), (0.7, 0.0, 0.2, 1.0), (0.0, 1.0, 1.0, 0.0), (-0.1, 0.0, 1.0, 1.0),
            (0.0, 0.0, 1.0, 1.5), (0.0, 0.0, float("nan"), 1.0)],
)
def test_a_box_that_holds_nothing_names_its_person(box: Box) -> None:
    with pytest.raises(InvalidSettings, match="box of Bea"):
        masks([person("Ada", (0.0, 0.0, 1.0, 1.0)), person("Bea", box)], 64, 64, None, "boxes")
    with pytest.raises(InvalidSettings, match="box of Person 2"):
        masks([person(), person("", box)], 64, 64, None, "boxes")


def test_a_mask_is_resized_by_area() -> None:
    painted = np.zeros((4, 4), dtype=np.uint8)
    painted[:, :1] = 255
    painted[0, 2] = 51
    (mask,) = masks([person(mask=painted)], 2, 2, None, "boxes")
    assert mask is not None
    assert np.allclose(mask, [[0.5, 0.05], [0.5, 0.0]])


def test_a_mask_as_large_as_the_picture_stays_as_it_is() -> None:
    painted = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    (mask,) = masks([person(mask=painted)], 30, 20, None, "boxes")
    assert mask is not None and mask.dtype == np.float32
    assert np.allclose(mask, painted / 255.0)


@pytest.mark.parametrize("mask", [np.zeros((9, 9), np.uint8), np.zeros((0, 5), np.uint8), np.ones((4, 4, 3), np.uint8)])
def test_an_empty_mask_names_its_person(mask: np.ndarray) -> None:
    with pytest.raises(InvalidSettings, match="mask of Bea is empty"):
        masks([person("Bea", mask=mask)], 64, 64, None, "boxes")


def test_a_mask_wins_over_a_box_and_both_over_the_layout() -> None:
    painted = np.full((2, 2), 255, dtype=np.uint8)
    whole, top, stripe = masks(
        [person(box=(0.0, 0.0, 0.1, 0.1), mask=painted), person(box=(0.0, 0.0, 1.0, 0.5)), person()],
        6, 2, None, LEFT_TO_RIGHT,
    )
    assert whole is not None and whole.all()
    assert top is not None and top[0].all() and not top[1].any()
    assert stripe is not None and np.array_equal(stripe[0], [0, 0, 0, 0, 1, 1])


def test_without_faces_stripes_are_equal() -> None:
    found = masks([person(), person()], 8, 2, None, LEFT_TO_RIGHT)
    assert [None if one is None else one[0].tolist() for one in found] == [[1.0] * 4 + [0.0] * 4, [0.0] * 4 + [1.0] * 4]


def test_stripes_are_split_in_the_middle_between_neighbouring_faces() -> None:
    faces = [(0.0, 5.0, 20.0, 25.0), (20.0, 5.0, 40.0, 25.0), (70.0, 0.0, 90.0, 20.0)]
    one, two, three = masks([person(), person(), person()], 100, 40, faces, LEFT_TO_RIGHT)
    assert one is not None and two is not None and three is not None
    assert [int(mask[0].sum()) for mask in (one, two, three)] == [20, 35, 45]
    assert np.array_equal(one + two + three, np.ones((40, 100)))


@given(
    lefts=st.lists(st.floats(-50, 150), min_size=2, max_size=5), width=st.integers(8, 200), height=st.integers(1, 60),
    know_faces=st.booleans(),
)
def test_stripes_cover_everything_once(lefts: list[float], width: int, height: int, know_faces: bool) -> None:
    faces = [(left, 0.0, left + 10.0, 10.0) for left in lefts] if know_faces else []
    found = masks([person()] * len(lefts), width, height, faces, LEFT_TO_RIGHT)
    assert np.allclose(sum(mask for mask in found if mask is not None), 1.0, atol=1e-5)


def test_faces_that_leave_somebody_no_stripe_count_as_none() -> None:
    one_above_the_other = [(30.0, top, 50.0, top + 20.0) for top in (0.0, 20.0, 40.0)]
    one_outside = [(-90.0, 0.0, -60.0, 20.0), (-20.0, 0.0, 20.0, 20.0), (80.0, 0.0, 90.0, 9.0)]
    for faces in (one_above_the_other, one_outside):
        found = masks([person()] * 3, 90, 60, faces, LEFT_TO_RIGHT)
        assert [0 if mask is None else int(mask[0].sum()) for mask in found] == [30, 30, 30]


def test_another_number_of_faces_than_people_is_told() -> None:
    with pytest.raises(InvalidSettings, match="1 faces for 2 people"):
        masks([person(), person()], 64, 64, [(0.0, 0.0, 9.0, 9.0)], LEFT_TO_RIGHT)


def test_people_without_any_place_stand_side_by_side() -> None:
    left, right = masks([person(), person()], 10, 4, None, "boxes")
    assert left is not None and right is not None
    assert (left + right == 1).all() and left[:, :5].all()


def test_who_has_no_place_beside_those_who_have_one_is_everywhere() -> None:
    placed, other = masks([person(box=(0.0, 0.0, 0.5, 1.0)), person()], 10, 4, None, "boxes")
    assert placed is not None and other is None
