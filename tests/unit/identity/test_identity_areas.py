from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.identity.areas import Area, areas_of, level_of, levels

sizes = st.tuples(st.integers(1, 160), st.integers(1, 160))


def query(length: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros((2, length, 8), dtype=dtype)


@given(sizes)
def test_levels_are_those_that_strided_convolutions_make(size: tuple[int, int]) -> None:
    halve = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1).requires_grad_(False)
    found, picture = list(levels(size)), torch.zeros(1, 1, *size)
    for level in found:
        assert tuple(picture.shape[-2:]) == level
        picture = halve(picture)
    assert found[-1] == (1, 1)


@given(sizes)
def test_every_level_is_found_again(size: tuple[int, int]) -> None:
    for height, width in levels(size):
        found = level_of(height * width, size)
        assert found is not None
        assert found[0] * found[1] == height * width


def test_a_length_of_merged_queries_is_no_level() -> None:
    assert level_of(64 * 64 // 2 + 7, (64, 64)) is None


@given(sizes, st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_a_mask_of_ones_is_ones_everywhere(size: tuple[int, int], mask: tuple[int, int]) -> None:
    area = Area(torch.ones(mask))
    for height, width in levels(size):
        weights = area.of(query(height * width), size)
        assert weights.shape == (1, height * width, 1)
        torch.testing.assert_close(weights, torch.ones_like(weights))


def test_halves_stay_halves_at_every_level() -> None:
    mask = torch.zeros(512, 1024)
    mask[:, 512:] = 1.0
    for height, width in list(levels((64, 128)))[:-1]:
        weights = Area(mask).of(query(height * width), (64, 128)).reshape(height, width)
        assert torch.equal(weights[:, : width // 2], torch.zeros(height, width // 2))
        assert torch.equal(weights[:, width // 2 :], torch.ones(height, width - width // 2))


def test_an_edge_between_two_places_is_shared_by_area() -> None:
    mask = torch.zeros(8, 8)
    mask[:, :2] = 1.0
    assert Area(mask).of(query(4), (2, 2)).flatten().tolist() == [0.5, 0.0, 0.5, 0.0]


def test_merged_queries_get_the_mean() -> None:
    mask = torch.zeros(8, 8)
    mask[:2] = 1.0
    assert Area(mask).of(query(37), (8, 8)).tolist() == [[[0.25]]]


masks = st.lists(st.none() | st.sampled_from([torch.zeros, torch.ones, torch.rand]).flatmap(
    lambda make: st.tuples(st.integers(1, 9), st.integers(1, 9)).map(make)
), min_size=2, max_size=4)


@given(masks)
def test_people_share_the_places_that_their_masks_have_in_common(given_masks: list[torch.Tensor | None]) -> None:
    shares = torch.cat([area.of(query(64), (8, 8)) for area in areas_of(given_masks) if area is not None])
    assert len(shares) == len(given_masks) and (shares >= 0).all() and shares.sum(dim=0).max() <= 1 + 1e-5
    if None in given_masks:
        torch.testing.assert_close(shares.sum(dim=0), torch.ones(64, 1))


def test_masks_with_nothing_in_common_stay_as_they_are() -> None:
    left = torch.rand(8, 8)
    left[:, 4:] = 0.0
    for mask, area in zip((left, left.flip(1)), areas_of([left, left.flip(1)]), strict=True):
        assert area is not None and torch.equal(area.of(query(64), (8, 8)).reshape(8, 8), mask)


def test_who_is_alone_shares_with_nobody() -> None:
    assert areas_of([None]) == [None]
    mask = torch.rand(8, 8)
    (area,) = areas_of([mask])
    assert area is not None and torch.equal(area.of(query(64), (8, 8)).reshape(8, 8), mask)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_it_is_in_the_number_format_of_the_query(dtype: torch.dtype) -> None:
    assert Area(torch.ones(4, 4)).of(query(16, dtype), (4, 4)).dtype == dtype
