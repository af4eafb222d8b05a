"""How the best checkpoint is chosen, and which files are kept."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import LIKENESS, RESEMBLANCE, BaseModelFile, Family, Goal, Method
from personal_avatar.domain.merit import kept, merit_of, stayed
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import validated
from personal_avatar.training.evaluation.judging import is_enough, moved, unless_full
from personal_avatar.training.planning.optimiser_facts import OPTIMISERS
from personal_avatar.training.planning.plan import PLANS, TextualInversionPlan, plan_for
from personal_avatar.training.planning.rates import refuse_endless_warmup
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
