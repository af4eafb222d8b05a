"""What somebody set and what does nothing is told, and only that."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.photos.heldout import how_many
from personal_avatar.training.planning.idle import idle
from personal_avatar.training.planning.plan import LoraPlan, TextualInversionPlan, plan_for


def base_of(family: Family, prediction: str = "epsilon") -> BaseModelFile:
    return BaseModelFile(Path("a.safetensors"), "a", family, prediction=prediction)


@pytest.mark.parametrize(("family", "values", "said"), [
    (Family.SDXL, {"clip_skip": 2}, ["clip_skip"]),
    (Family.SD1, {"clip_skip": 2}, []),
    (Family.SD1, {"scale_v_loss": True}, ["scale_v_loss"]),
    (Family.SD1, {"keep_tags": 1, "prior_from": "prediction"}, []),
    (Family.SD1, {"keep_tags": 3}, ["keep_tags"]),
    (Family.SD1, {"keep_tags": 3, "shuffle_captions": True}, []),
    (Family.SD1, {"prior_from": "pictures", "class_pictures": 8}, ["prior_from", "class_pictures"]),
    (Family.SD1, {"prior_weight": 1.0, "class_pictures": 8}, ["class_pictures"]),
    (Family.SD1, {"prior_weight": 1.0, "prior_from": "both", "class_pictures": 8}, []),
    (Family.SD1, {"prior_styles": 0.3}, ["prior_styles"]),
    (Family.SD1, {"prior_after": 0.3}, ["prior_after"]),
    (Family.SD1, {"prior_after": 0.3, "prior_weight": 1.0}, []),
    (Family.SD1, {"prior_styles": 0.3, "prior_weight": 1.0}, []),
    (Family.SD1, {"prior_styles": 0.3, "prior_weight": 1.0, "prior_from": "pictures"}, ["prior_styles"]),
    (Family.SD1, {"prior_styles": 0.3, "prior_weight": 1.0, "goal": "style"}, ["prior_styles"]),
    (Family.SD1, {"schedule": "constant", "optimiser": "schedulefree"}, ["schedule"]),
    (Family.SD1, {"ema_decay": 0.9, "optimiser": "schedulefree"}, ["ema_decay"]),
    (Family.SD1, {"schedule": "constant"}, []),
    (Family.SD1, {"steps": 100, "steps_per_photo": 50}, ["steps_per_photo"]),
    (Family.SD1, {"stop_at": 0.9, "save_count": 1}, ["stop_at"]),
    (Family.SD1, {"stop_at": 0.9, "save_count": 2}, []),
    (Family.SD1, {"save_count": 1}, []),
])
def test_settings_without_effect_are_told(family: Family, values: dict[str, object], said: list[str]) -> None:
    told = idle(LoraPlan(**values), base_of(family), values)
    assert [sentence.split()[0] for sentence in told] == said


def test_what_counts_outside_of_masks_is_told_only_where_there_are_none() -> None:
    values, base = {"unmasked_weight": 0.3}, base_of(Family.SD1)
    assert idle(LoraPlan(**values), base, values) == []
    told = idle(LoraPlan(**values), base, values, masked=False)
    assert told == ["unmasked_weight has no effect: these pictures have no masks."]


@pytest.mark.parametrize("values", [
    {"text_encoder_learning_rate": 1e-5}, {"trigger_word": "zwx"}, {"weight_decay": 0.1},
])
def test_what_new_words_do_without_is_told(values: dict[str, object]) -> None:
    told = idle(TextualInversionPlan(**values), base_of(Family.SD1), values)
    assert [sentence.split()[0] for sentence in told] == list(values)


def test_what_nobody_chose_is_not_told() -> None:
    assert idle(LoraPlan(clip_skip=2, steps=5, steps_per_photo=9), base_of(Family.SD2), ()) == []


def test_of_a_velocity_the_loss_can_be_scaled() -> None:
    values = {"scale_v_loss": True}
    assert idle(LoraPlan(**values), base_of(Family.SD2, "v_prediction"), values) == []
    assert idle(LoraPlan(**values), base_of(Family.SD2, ""), values) == []


@pytest.mark.parametrize(("rate", "said"), [(1e-4, True), (0.05, True), (0.1, False), (0.5, False), (1.0, False)])
def test_a_rate_that_stops_an_optimiser_of_its_own_rate_is_told_with_the_remedy(rate: float, said: bool) -> None:
    values = {"optimiser": "prodigy", "learning_rate": rate}
    for method in (Method.LORA, Method.TEXTUAL_INVERSION):
        told = idle(plan_for(base_of(Family.SD1), method, values), base_of(Family.SD1), values)
        assert bool(told) is said
        assert not told or f"learning_rate {rate:g}" in told[0] and "set learning_rate to 1, or leave it out" in told[0]


@pytest.mark.parametrize("values", [{"optimiser": "prodigy"}, {"learning_rate": 1e-5}, {"optimiser": "lion"}])
def test_a_rate_that_suits_is_not_told(values: dict[str, object]) -> None:
    assert idle(plan_for(base_of(Family.SD1), Method.LORA, values), base_of(Family.SD1), values) == []


@pytest.mark.parametrize(("method", "values", "usual"), [
    (Method.LORA, {"learning_rate": 9e-6}, "0.0001"), (Method.TEXTUAL_INVERSION, {"learning_rate": 1e-4}, "0.005"),
    (Method.DREAMBOOTH, {"learning_rate": 1e-7}, "2e-06"),
    (Method.LORA, {"learning_rate": 9e-6, "optimiser": "muon"}, "0.0002"),
    (Method.LORA, {"learning_rate": 9e-6, "optimiser": "lion"}, ""),
])
def test_a_rate_that_learns_next_to_nothing_is_told_before_with_the_one_that_suits(
    method: Method, values: dict[str, object], usual: str
) -> None:
    told = idle(plan_for(base_of(Family.SD1), method, values), base_of(Family.SD1), values)
    assert [f"set learning_rate to {usual}, or leave it out" in sentence for sentence in told] == [True] * bool(usual)


@pytest.mark.parametrize(("share", "said"), [(0.0, False), (0.3, False), (1 / 3, False), (0.35, True), (0.5, True)])
def test_a_share_of_photos_that_is_more_than_can_be_held_out_is_told(share: float, said: bool) -> None:
    values = {"held_out": share}
    told = idle(LoraPlan(**values), base_of(Family.SD1), values)
    assert told == [f"held_out {share:g}: at most a third of the photos is held out."] * said
    assert (how_many(60, share) < round(60 * share)) is said


@pytest.mark.parametrize(("values", "photos"), [
    ({"steps_per_photo": 50, "batch_size": 2, "warmup_steps": 199}, 0),
    ({"steps_per_photo": 50, "batch_size": 2, "warmup_steps": 200}, 5),
    ({"steps_per_photo": 50, "batch_size": 4, "warmup_steps": 499}, 20),
    ({"steps": 500, "warmup_steps": 499}, 0),
    ({"steps": 3, "warmup_steps": 10}, 0),  # a preset's, for nobody's own is taken
])
def test_a_warm_up_that_few_photos_do_not_get_through_is_told(values: dict[str, object], photos: int) -> None:
    plan = LoraPlan(**values)
    told = idle(plan, base_of(Family.SD1), values)
    assert [f"fewer than {photos} photos" in sentence for sentence in told] == [True] * bool(photos)
    if photos:
        assert plan.steps_for(photos - 1) <= plan.warmup_steps < plan.steps_for(photos)
