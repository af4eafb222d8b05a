"""Rows of UNet calls, counted as the WebUI's sampler makes them."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.webui.identity.rows import RowCounter


def calls(counter: RowCounter, *sizes: int) -> list[tuple[bool, ...] | None]:
    found = [counter(size) for size in sizes]
    return [rows.conditional if rows is not None else None for rows in found]


def test_all_rows_in_one_call() -> None:
    counter = RowCounter()
    counter.announce(2, 4, 0.5)
    rows = counter(4)
    assert rows is not None and rows.conditional == (True, True, False, False) and rows.share == 0.5


def test_prompts_joined_with_and_are_called_in_parts_of_a_batch() -> None:
    """Two pictures, three prompts each, batch_cond_uncond off: calls of two rows."""
    counter = RowCounter()
    counter.announce(6, 8, 0.0)
    assert calls(counter, 2, 2, 2, 2) == [(True, True)] * 3 + [(False, False)]


def test_a_skipped_negative_prompt_leaves_no_trace_in_the_next_step() -> None:
    counter = RowCounter()
    counter.announce(1, 2, 0.1)
    assert calls(counter, 1) == [(True,)]
    counter.announce(1, 2, 0.2)
    assert calls(counter, 2) == [(True, False)]


def test_calls_that_nobody_announced_are_left_alone() -> None:
    counter = RowCounter()
    assert counter(1) is None
    counter.announce(1, 2, 0.0)
    assert calls(counter, 2, 1, 2) == [(True, False), None, None]


@pytest.mark.parametrize(("given_share", "kept"), [(-0.1, 0.0), (0.3, 0.3), (1.7, 1.0)])
def test_an_adaptive_sampler_may_take_more_steps_than_it_said(given_share: float, kept: float) -> None:
    counter = RowCounter()
    counter.announce(1, 1, given_share)
    rows = counter(1)
    assert rows is not None and rows.share == kept


@given(st.integers(0, 9), st.integers(0, 9), st.data())
def test_any_division_of_a_step_gives_every_row_once_in_order(prompts: int, others: int, data: st.DataObject) -> None:
    counter, left, found = RowCounter(), prompts + others, ()
    counter.announce(prompts, left, 0.0)
    while left:
        size = data.draw(st.integers(1, left))
        rows = counter(size)
        assert rows is not None
        found, left = found + rows.conditional, left - size
    assert found == (True,) * prompts + (False,) * others


def test_whether_anything_was_announced_and_came_is_remembered() -> None:
    rows = RowCounter()
    rows.announce(1, 2, 0.0)
    rows(3)
    assert not rows.used
    rows(2)
    assert rows.used
