"""A graphics card with less room than was thought: fewer at a time, and what cannot be judged costs no training."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import OutOfVram
from personal_avatar.training.evaluation import batches
from personal_avatar.training.evaluation.batches import in_batches, noticing

FULL = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


class Narrow:
    """A card on which so many have room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.tried.append(len(items))
        if len(items) > self.room:
            raise torch.cuda.OutOfMemoryError(str(FULL))
        return list(items)


@given(count=st.integers(0, 20), together=st.integers(1, 9), room=st.integers(1, 9))
def test_all_come_in_their_order_however_little_room_there_is(count: int, together: int, room: int) -> None:
    found = in_batches(range(count), together, Narrow(room))
    assert [one for batch in found for one in batch] == list(range(count))


def test_half_as_many_are_tried_down_to_one() -> None:
    card = Narrow(1)
    in_batches(range(8), 8, card)
    assert card.tried == [8, 4, 2, *[1] * 8]


def test_where_there_is_no_room_for_one_it_is_named() -> None:
    card = Narrow(0)
    with pytest.raises(OutOfVram) as caught:
        in_batches(range(8), 4, card)
    assert card.tried == [4, 2, 1]
    assert caught.value.__context__ is None, "whose frames hold what there is no room for"


def test_everything_else_is_left_to_others() -> None:
    def fails(_: Any) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        in_batches(range(8), 4, fails)


def test_room_is_made_before_fewer_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("personal_avatar.training.compute.release", lambda: done.append("released"))
    full: list[OutOfVram] = []
    with batches.noticing(full):
        raise FULL
    assert len(full) == 1 and done == ["released"]
    with noticing([]):
        pass
    assert done == ["released"]
