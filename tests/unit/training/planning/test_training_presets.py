"""Values that suit a goal: what is promised of their order and proportion."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.domain import BaseModelFile, Family, Goal, Method
from personal_avatar.training.planning.plan import LoraPlan, plan_for

QUICK, BALANCED, BEST = Goal.FACE_QUICK, Goal.FACE, Goal.FACE_BEST


def steps(method: Method, goal: Goal, base: BaseModelFile) -> int:
    return plan_for(base, method, {"goal": goal.value}).steps_for(8)


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("family", Family)
def test_quick_takes_less_than_half_of_balanced_and_best_takes_half_as_much_again(
    family: Family, method: Method
) -> None:
    base = BaseModelFile(Path("a.safetensors"), "a", family)
    quick, balanced, best = (steps(method, goal, base) for goal in (QUICK, BALANCED, BEST))
    assert 0.3 * balanced <= quick <= 0.5 * balanced
    assert 1.5 * balanced <= best <= 2.0 * balanced


@pytest.mark.parametrize("method", Method)
def test_goals_of_small_checkpoints_have_the_same_order(method: Method) -> None:
    base = BaseModelFile(Path("a.safetensors"), "a", Family.SD1, native_px=128)
    assert steps(method, QUICK, base) < steps(method, BALANCED, base) < steps(method, BEST, base)


def test_quick_on_small_checkpoints_does_a_fraction_of_the_work_for_it_leaves_others_to_themselves() -> None:
    base = BaseModelFile(Path("a.safetensors"), "a", Family.SD1, native_px=192)
    quick, balanced, best = (plan_for(base, Method.LORA, {"goal": goal.value}) for goal in (QUICK, BALANCED, BEST))
    assert quick.steps_for(8) * quick.batch_size < 0.4 * balanced.steps_for(8) * balanced.batch_size
    assert not quick.holds_others and not quick.wants_class_pictures and not quick.wants_styles
    assert balanced.holds_others and best.holds_others
    held = plan_for(base, Method.LORA, {"goal": QUICK.value, "prior_weight": 0.5})
    assert held.wants_class_pictures and held.wants_styles


def test_new_words_alone_take_more_steps_than_a_lora_unless_a_person_says_how_many() -> None:
    base = BaseModelFile(Path("a.safetensors"), "a", Family.SD1)
    words = steps(Method.TEXTUAL_INVERSION, Goal.STYLE, base)
    assert words == 1.5 * steps(Method.LORA, Goal.STYLE, base)
    assert plan_for(base, Method.TEXTUAL_INVERSION, {"steps_per_photo": 50}).steps_for(8) == 400


@pytest.mark.parametrize("family", Family)
def test_a_person_and_a_style_have_different_words_as_they_may_stand_in_one_prompt(family: Family) -> None:
    base = BaseModelFile(Path("a.safetensors"), "a", family)
    style, face = (plan_for(base, Method.LORA, {"goal": goal.value}) for goal in (Goal.STYLE, Goal.FACE))
    assert (style.trigger_word, face.trigger_word) == ("ohwx", "")


@pytest.mark.parametrize("goal", Goal)
def test_on_small_checkpoints_a_person_has_a_word_that_is_told_well_or_begins_quickly_where_words_are_read(
    goal: Goal
) -> None:
    base = BaseModelFile(Path("a.safetensors"), "a", Family.SD1, native_px=192)
    lora, beside = (plan_for(base, one, {"goal": goal.value}) for one in (Method.LORA, Method.DREAMBOOTH_LORA))
    assert isinstance(beside, LoraPlan)
    is_person = goal is not Goal.STYLE
    assert (lora.trigger_word == "auto", beside.words_factor > 1.0) == (is_person, is_person)
