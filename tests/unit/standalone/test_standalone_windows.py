"""Prompts are cut into windows as the WebUI cuts them."""
from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.standalone.embeddings import Embedding
from personal_avatar.standalone.windows import Said, places, weights
from personal_avatar.training.families.windows import WINDOW, fill

COMMA, WORD = 1, 2


def units(*lengths: int) -> list[Said]:
    """1: a word; 0: a comma; n: an embedding of n vectors."""
    return [
        Said((COMMA,) if n == 0 else (WORD,) * n, 1.0, Embedding("e", (torch.zeros(n, 4),)) if n > 1 else None)
        for n in lengths
    ]


def sizes(cut: list[tuple[Said, ...]]) -> list[int]:
    return [sum(len(unit.tokens) for unit in window) for window in cut]


@pytest.mark.parametrize(("lengths", "wanted"), [
    ([], [0]),
    ([1] * 75, [75]),
    ([1] * 76, [75, 1]),
    ([*[1] * 70, 0, *[1] * 10], [71, 10]),
    ([*[1] * 54, 0, *[1] * 25], [75, 5]),
    ([*[1] * 55, 0, *[1] * 25], [56, 25]),
    ([*[1] * 75, 0, 1], [75, 2]),
    ([*[1] * 74, 3], [74, 3]),
    ([*[1] * 60, 0, *[1] * 14, 60], [61, 74]),
    ([*[1] * 60, 0, *[1] * 14, 70], [61, 14, 70]),
    ([0] * 80, [75, 5]),
])
def test_a_full_window_ends_behind_a_near_comma(lengths: list[int], wanted: list[int]) -> None:
    assert sizes(fill(units(*lengths), COMMA)) == wanted


@given(st.lists(st.sampled_from([0, 1, 2, 30, 75]), max_size=120))
def test_windows_hold_everything_in_order_and_are_never_too_long(lengths: list[int]) -> None:
    all_units = units(*lengths)
    cut = fill(all_units, COMMA)
    assert [unit for window in cut for unit in window] == all_units
    assert max(sizes(cut)) <= WINDOW


def test_places_and_weights_follow_the_tokens() -> None:
    first, second = units(1, 3, 1), units(2)
    louder = [Said(unit.tokens, 1.5, unit.embedding) for unit in second]
    assert [(place.row, place.column) for place in places([tuple(first), tuple(louder)])] == [(0, 2), (1, 1)]
    assert weights(tuple(louder)) == [1.0, 1.5, 1.5, *[1.0] * 74]
    assert len(weights(tuple(first))) == 77
