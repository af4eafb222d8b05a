"""Rates of learning, optimisers and the warm-up of a plan: what suits what, and what is refused."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import BaseModelFile, Family, Goal, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import validated
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS, TextualInversionPlan, plan_for
from personal_avatar.training.planning.rates import refuse_endless_warmup


def test_new_words_have_no_prior() -> None:
    with pytest.raises(InvalidSettings, match="must be 0 where new words are trained"):
        validated(TextualInversionPlan, {"prior_weight": 0.5})


@pytest.mark.parametrize(("optimiser", "rate"), [("prodigy", 1.0), ("lion", 0.2), ("muon", 2.0), ("adamw", 1.0)])
def test_a_rate_that_nobody_chose_suits_the_optimiser(optimiser: str, rate: float, tmp_path: Path) -> None:
    base = BaseModelFile(tmp_path / "a", "a", Family.SD1)
    plain = plan_for(base, Method.LORA, {}).learning_rate
    found = plan_for(base, Method.LORA, {"optimiser": optimiser}).learning_rate
    assert found == pytest.approx(1.0 if optimiser == "prodigy" else rate * plain)
    assert plan_for(base, Method.LORA, {"optimiser": optimiser, "learning_rate": 3e-5}).learning_rate == 3e-5
    assert set(PLANS) == set(Method)


def test_an_optimiser_that_takes_one_rate_is_given_no_other_by_a_goal(tmp_path: Path) -> None:
    tiny = BaseModelFile(tmp_path / "a", "a", Family.SD1, native_px=192)
    quick = plan_for(tiny, Method.DREAMBOOTH_LORA, {"goal": "face-quick", "optimiser": "prodigy"})
    usual = plan_for(tiny, Method.DREAMBOOTH_LORA, {"goal": "face-quick"})
    assert usual.words_factor > quick.words_factor == 1.0  # type: ignore[attr-defined]
    assert plan_for(tiny, Method.DREAMBOOTH, {"optimiser": "prodigy"}).learning_rate == 1.0


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("native_px", [192, 512])
def test_a_plan_that_is_given_back_is_taken_as_it_is(method: Method, native_px: int, tmp_path: Path) -> None:
    base = BaseModelFile(tmp_path / "a", "a", Family.SD1, native_px=native_px)
    matrices = {name for name, facts in OPTIMISERS.items() if facts.matrices}
    for optimiser in OPTIMISERS.keys() - (matrices if method in (Method.DREAMBOOTH, Method.TEXTUAL_INVERSION) else ()):
        for goal in Goal:
            plan = plan_for(base, method, {"goal": goal.value, "optimiser": optimiser})
            assert plan_for(base, method, plan.dict()) == plan


@pytest.mark.parametrize(("method", "values"), [
    (Method.LORA, {"dora": True}), (Method.DREAMBOOTH, {}), (Method.TEXTUAL_INVERSION, {}),
])
def test_an_optimiser_of_matrices_is_refused_where_other_weights_are_trained(
    method: Method, values: dict[str, Any], tmp_path: Path
) -> None:
    base = BaseModelFile(tmp_path / "a", "a", Family.SD1)
    with pytest.raises(InvalidSettings, match="muon is for LoRA without DoRA") as caught:
        plan_for(base, method, {"optimiser": "muon", **values})
    assert caught.value.hint == "Set optimiser to adamw."


def test_a_preset_with_an_optimiser_of_matrices_gives_way_to_dora(tmp_path: Path) -> None:
    tiny = BaseModelFile(tmp_path / "a", "a", Family.SD1, native_px=192)
    plain, dora = (plan_for(tiny, Method.LORA, {"dora": dora}) for dora in (False, True))
    assert (plain.optimiser, dora.optimiser) == ("muon", "adamw")
    assert plain.learning_rate == 2 * dora.learning_rate


@pytest.mark.parametrize(("values", "said", "remedy"), [
    ({"steps": 10, "warmup_steps": 500}, "warmup_steps is 500, steps at most 10.", "to 1 or so, or steps"),
    ({"steps": 500, "warmup_steps": 500}, "warmup_steps is 500, steps at most 500.", "steps to more than 500."),
    ({"steps": 1, "warmup_steps": 1}, "warmup_steps is 1, steps at most 1.", "warmup_steps to 0 or so"),
    ({"steps_per_photo": 50, "warmup_steps": 1000}, "steps at most 1000.", "warmup_steps to 100 or so"),
])
def test_a_warm_up_without_an_end_is_refused(values: dict[str, int], said: str, remedy: str, tmp_path: Path) -> None:
    base = BaseModelFile(tmp_path / "a", "a", Family.SD1)
    for method in Method:
        with pytest.raises(InvalidSettings, match="no longer than its warm-up") as caught:
            refuse_endless_warmup(plan_for(base, method, values), values)
        assert said in caught.value.message and remedy in (caught.value.hint or "")
        more = {**values, "steps": values["warmup_steps"] + 1}
        refuse_endless_warmup(plan_for(base, method, more), more)


def test_a_warm_up_of_a_preset_does_not_refuse_few_steps(tmp_path: Path) -> None:
    tiny = BaseModelFile(tmp_path / "a", "a", Family.SD1, native_px=192)
    refuse_endless_warmup(plan_for(tiny, Method.LORA, {"steps": 3}), {"steps": 3})


@pytest.mark.parametrize(("values", "warmup"), [
    ({"steps": 4}, 0), ({"steps": 10}, 1), ({"steps": 11}, 10), ({"steps": 400}, 10),
    ({"steps": 10, "warmup_steps": 9}, 9),
])
def test_the_warm_up_of_a_preset_ends_within_few_steps(values: dict[str, int], warmup: int, tmp_path: Path) -> None:
    tiny = BaseModelFile(tmp_path / "a", "a", Family.SD1, native_px=192)
    assert plan_for(tiny, Method.LORA, values).warmup_steps == warmup


@pytest.mark.parametrize(("values", "remedy"), [
    ({"text_encoder_learning_rate": 1e-4},
     "Set text_encoder_learning_rate to 1, which is learning_rate here, or to 0."),
    ({"text_encoder_learning_rate": 1e-4, "learning_rate": 0.5},
     "Set text_encoder_learning_rate to 0.5, which is learning_rate here, or to 0."),
    ({"words_factor": 4.0}, "Set words_factor to 1."),
])
def test_prodigy_takes_one_rate_and_the_plan_says_which(
    values: dict[str, float], remedy: str, tmp_path: Path
) -> None:
    base = BaseModelFile(tmp_path / "a", "a", Family.SD1)
    with pytest.raises(InvalidSettings, match="prodigy takes one learning rate for everything") as caught:
        plan_for(base, Method.LORA, {"optimiser": "prodigy", **values})
    assert caught.value.hint == remedy
    same = {"text_encoder_learning_rate": 1.0, "words_factor": 1.0}
    assert plan_for(base, Method.LORA, {"optimiser": "prodigy", **same}).text_encoder_learning_rate == 1.0
