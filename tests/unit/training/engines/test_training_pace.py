"""What a training says of the time that it takes besides its steps."""

from __future__ import annotations

import time

import pytest
from personal_avatar.domain import BaseModelFile
from personal_avatar.training.engines.pace import Judging
from personal_avatar.training.planning.estimate import estimate
from personal_avatar.training.planning.plan import DreamboothPlan, LoraPlan, TrainPlan


def left(judging: Judging, saved: int, *, untrained: bool, pace: float | None = 0.5) -> float:
    found = judging.left_s(saved, untrained=untrained, seconds_per_step=pace)
    assert found is not None
    return found


@pytest.mark.parametrize("plan", [LoraPlan(steps=40), DreamboothPlan(steps=60, save_count=2, prior_weight=0)])
def test_before_any_checkpoint_is_judged_it_is_in_proportion_to_the_steps(
    plan: TrainPlan, tiny: BaseModelFile
) -> None:
    """As it is in the estimate of the whole, of which the steps are the rest."""
    judging, steps = Judging(plan, plan.steps), plan.steps
    alone = estimate(type(plan)(**{**plan.dict(), "steps": 10 * steps}), tiny, 6, gpu=False)["seconds"]
    whole = estimate(plan, tiny, 6, gpu=False)["seconds"]
    a_step = (alone - whole) / (9 * steps)
    before = whole - steps * a_step - left(judging, 0, untrained=True, pace=a_step)
    assert before == pytest.approx(11, abs=2)  # libraries, photos, the checkpoint: what is no work on pictures


def test_without_a_pace_nothing_is_told_until_one_was_judged() -> None:
    judging = Judging(LoraPlan(save_count=4), 40)
    assert judging.left_s(0, untrained=True, seconds_per_step=None) is None
    with judging.of_checkpoint(untrained=True):
        pass
    assert judging.left_s(10, untrained=False, seconds_per_step=None) is not None


def test_what_one_took_tells_what_the_others_will(monkeypatch: pytest.MonkeyPatch) -> None:
    judging, now = Judging(LoraPlan(save_count=4), 40), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    with judging.of_checkpoint(untrained=True):
        now[0] += 20.0  # ten for each of two
    last, end = left(judging, 30, untrained=False), left(judging, 40, untrained=False)
    assert last - end == pytest.approx(10.0, abs=0.1)
    assert left(judging, 10, untrained=False) == pytest.approx(end + 30.0, abs=0.3)
    assert left(judging, 10, untrained=False, pace=9.0) == left(judging, 10, untrained=False)
    assert 10 < end < 40  # four grids are painted, one is judged


def test_one_that_was_interrupted_tells_nothing() -> None:
    judging = Judging(LoraPlan(), 40)
    with pytest.raises(KeyboardInterrupt), judging.of_checkpoint(untrained=False):
        raise KeyboardInterrupt
    assert judging.samples == judging.spent_s == 0
