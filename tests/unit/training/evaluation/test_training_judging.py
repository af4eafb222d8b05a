"""How the best checkpoint is chosen, and which files are kept."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import LIKENESS, RESEMBLANCE
from personal_avatar.domain.merit import kept, merit_of, stayed
from personal_avatar.training.evaluation.judging import is_enough, moved, unless_full
from personal_avatar.training.results.outcome import scores
from personal_avatar.training.work import Point, Training, best_of, unscored
from personal_avatar.wording import text

share = st.floats(0.0, 1.0, allow_subnormal=False)


@given(recovered=st.floats(-1.0, 1.0), obedience=share, others=share)
def test_neither_disobedience_nor_others_who_become_alike_are_a_merit(
    recovered: float, obedience: float, others: float
) -> None:
    found = merit_of(recovered, obedience, others)
    assert found <= max(recovered, 0.0) or recovered == found
    assert found <= merit_of(recovered, 1.0, others) <= merit_of(recovered, 1.0, 1.0)
    assert found <= merit_of(recovered, obedience, 1.0)


@given(low=share, high=share)
def test_more_likeness_at_equal_obedience_is_more_merit(low: float, high: float) -> None:
    assert (merit_of(low, 0.5, 0.5) <= merit_of(high, 0.5, 0.5)) == (low <= high)


@pytest.mark.parametrize(("leakage", "left"), [(-0.2, 1.0), (0.0, 1.0), (0.1, 0.875), (0.4, 0.5), (0.9, 0.5)])
def test_others_on_the_persons_way_cost_half_of_what_the_person_gains(leakage: float, left: float) -> None:
    assert stayed(moved(between(0.3, 0.7), leakage)) == pytest.approx(left)


def between(floor: float, ceiling: float) -> Any:
    """A training as far as its scale of likeness goes."""
    bench = SimpleNamespace(ceiling=ceiling, kind=LIKENESS)
    return SimpleNamespace(untrained=SimpleNamespace(likeness=SimpleNamespace(mean=floor)), bench=bench)


@pytest.mark.parametrize(("likeness", "leakage", "stop_at", "enough"), [
    (0.66, 0.0, 0.9, True), (0.65, 0.0, 0.9, False), (0.68, 0.2, 0.9, False), (0.68, -0.2, 0.9, True),
    (0.7, 0.0, 0.0, False),
])
def test_a_training_ends_early_where_the_person_is_alike_and_others_are_not(
    likeness: float, leakage: float, stop_at: float, enough: bool
) -> None:
    point = Point(100, Path("a"), likeness, 1.0, (), (), 1.0, 0.5, leakage)
    assert is_enough(between(0.3, 0.7), point, stop_at) is enough


def test_more_obedience_than_before_the_training_counts_no_more() -> None:
    assert [kept(following, 0.8) for following in (0.4, 0.8, 1.0)] == [0.5, 1.0, 1.0]
    assert kept(0.4, None) == 1.0


def test_of_large_checkpoints_the_best_and_the_last_are_kept(tmp_path: Path) -> None:
    points: list[Point] = []
    for step, merit in ((1, 0.2), (2, 0.9), (3, 0.4), (4, 0.5)):
        path = tmp_path / f"{step}.safetensors"
        path.touch()
        path.with_suffix(".yaml").touch()
        points.append(Point(step, path, 0.0, 0.0, (), (), 1.0, merit))
        best = max(points, key=lambda point: point.merit)
        training = SimpleNamespace(points=points, best=best, method=SimpleNamespace(heavy=True))
        Training.thin_out(training)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "2.safetensors", "2.yaml", "4.safetensors", "4.yaml"
    ]


def test_of_equal_checkpoints_the_one_that_learned_longest_is_the_best(tmp_path: Path) -> None:
    points = [Point(step, tmp_path, 0.0, 0.0, (), (), 1.0, merit) for step, merit in ((1, 0.0), (2, 0.3), (3, 0.3))]
    assert best_of(points).step == 3 and best_of([*points, unscored(4, tmp_path)]).step == 3
    assert best_of(points[:2]).step == 2


@pytest.mark.parametrize("kind", [LIKENESS, RESEMBLANCE])
def test_of_a_checkpoint_that_was_not_judged_nothing_is_told_but_its_step(kind: str, tmp_path: Path) -> None:
    bench = SimpleNamespace(kind=kind)
    training: Any = SimpleNamespace(points=[unscored(3, tmp_path)], untrained=None, bench=bench)
    (row,) = scores(training)["scores"]
    assert row.pop("step") == 3 and kind in row and set(row.values()) == {None}


def test_a_judged_checkpoint_is_told_with_its_numbers(tmp_path: Path) -> None:
    point = Point(3, tmp_path, 0.4, 1.0, (), (), 0.8, 0.5, 0.1)
    training: Any = SimpleNamespace(points=[point], untrained=None, bench=SimpleNamespace(kind=LIKENESS))
    assert scores(training)["scores"] == [
        {"step": 3, "likeness": 0.4, "faces_found": 1.0, "following": 0.8, "merit": 0.5, "leakage": 0.1}
    ]


@pytest.mark.parametrize(("said", "told"), [
    ("CUDA out of memory. Tried to allocate 2.00 GiB.", ["left out"]),
    ("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED", ["left out", text("log.or_format")]),
])
def test_where_it_may_be_a_format_that_the_card_lacks_both_ways_out_are_told(said: str, told: list[str]) -> None:
    emitted: list[Any] = []
    model = SimpleNamespace(unpark=lambda: None)
    work, training = SimpleNamespace(emit=emitted.append), SimpleNamespace(bench=SimpleNamespace(model=model))
    with unless_full(work, training, "left out"):  # type: ignore[arg-type]
        raise RuntimeError(said)
    assert [event.message for event in emitted] == told
