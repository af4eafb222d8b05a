from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.training.planning.plan import LoraPlan
from personal_avatar.training.planning.schedule import LAST_RATE, BatchOrder, ahead, rate_factor, save_steps


def test_a_constant_rate_only_warms_up() -> None:
    plan = LoraPlan(schedule="constant", warmup_steps=4)
    assert [rate_factor(step, 8, plan) for step in range(8)] == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_a_cosine_falls_from_one_to_its_last_value() -> None:
    rates = [rate_factor(step, 101, LoraPlan()) for step in range(102)]
    assert rates[0] == 1.0
    assert rates[101] == pytest.approx(LAST_RATE)
    assert rates == sorted(rates, reverse=True)


@given(factor=st.floats(0.1, 100.0), passed=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)))
def test_what_begins_ahead_is_even_with_the_rest_in_the_second_half(factor: float, passed: tuple[float, float]) -> None:
    early, late = (ahead(share, factor) for share in sorted(passed))
    assert min(factor, 1.0) - 1e-9 <= min(early, late) <= max(early, late) <= max(factor, 1.0) + 1e-9
    assert abs(late - 1.0) <= abs(early - 1.0)
    assert [ahead(share, factor) for share in (0.0, 0.2, 0.5, 1.0)] == pytest.approx([factor, factor, 1.0, 1.0])


@given(total=st.integers(1, 5000), count=st.integers(1, 20))
def test_the_last_checkpoint_is_the_last_step(total: int, count: int) -> None:
    steps = save_steps(total, count)
    assert steps[-1] == total
    assert steps[0] >= 1
    assert len(steps) <= count


@given(rows=st.integers(1, 20), batch=st.integers(1, 8), seed=st.integers(0, 99))
def test_every_row_comes_once_before_any_comes_again(rows: int, batch: int, seed: int) -> None:
    order = BatchOrder([0] * rows, torch.Generator().manual_seed(seed))
    taken = [row for _ in range(3 * rows) for row in order.take(batch).tolist()]
    for at in range(0, len(taken) - rows + 1, rows):
        assert sorted(taken[at : at + rows]) == list(range(rows))


@given(repeats=st.lists(st.integers(1, 5), min_size=1, max_size=8), batch=st.integers(1, 8))
def test_a_row_comes_as_often_in_a_round_as_it_is_repeated(repeats: list[int], batch: int) -> None:
    order = BatchOrder([0] * len(repeats), torch.Generator().manual_seed(2), repeats)
    taken = [row for _ in range(2 * sum(repeats)) for row in order.take(batch).tolist()]
    for at in range(0, len(taken) - sum(repeats) + 1, sum(repeats)):
        assert [taken[at : at + sum(repeats)].count(row) for row in range(len(repeats))] == repeats


@given(groups=st.lists(st.sampled_from("abc"), min_size=1, max_size=12), batch=st.integers(1, 6))
def test_a_batch_holds_pictures_of_one_size_and_every_picture_gets_its_turn(groups: list[str], batch: int) -> None:
    order = BatchOrder(groups, torch.Generator().manual_seed(1))
    seen: list[int] = []
    for _ in range(4 * len(groups)):
        rows = order.take(batch).tolist()
        assert len(rows) == batch
        assert len({groups[row] for row in rows}) == 1
        seen += rows
    assert set(seen) == set(range(len(groups)))


def test_where_there_is_nothing_nothing_is_waited_for() -> None:
    with pytest.raises(ValueError, match="nothing to take"):
        BatchOrder([], torch.Generator().manual_seed(1)).take(1)
