"""Every setting of a plan arrives at sd-scripts under its own name."""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kohya_orders import base_of, order_of
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.training.engines.kohya.command import arguments, command, prompts, words
from personal_avatar.training.evaluation.samples import Shot
from personal_avatar.training.planning.plan import PLANS, TrainPlan
from personal_avatar.training.planning.schedule import rate_factor

SDXL = base_of(Family.SDXL)
# Settings that are for what comes before and after: photos, scores, the choice.
NOT_OF_THE_ENGINE = {
    "goal", "steps", "resolution_px", "class_pictures", "held_out", "min_photos", "score_pictures", "must_rise",
    "ema_decay", "stop_at", "dora", "blocks", "steps_per_photo", "vary_captions", "timesteps", "low_first", "compile",
    "gpus", "prior_dropout", "prior_styles", "prior_after", "words_factor", "trigger_word",
}
IN_THE_DATASET = {"flip", "caption_dropout", "shuffle_captions", "keep_tags", "unmasked_weight", "prior_from"}
OTHER_VALUES: dict[str, Any] = {
    "optimiser": "lion", "schedule": "constant", "warmup_steps": 7, "clip_skip": 2, "sample_steps": 9, "guidance": 3.0,
    "min_snr_gamma": 1.0, "prior_weight": 0.5, "init_word": "boy", "gradient_checkpointing": True, "seed": 8,
    "learning_rate": 3e-5, "weight_decay": 0.1, "noise_offset": 0.1,
    "input_perturbation": 0.1, "text_encoder_learning_rate": 5e-6, "save_count": 2,
}


@pytest.mark.parametrize(
    ("method", "script", "sdxl_script"),
    [
        (Method.LORA, "train_network.py", "sdxl_train_network.py"),
        (Method.DREAMBOOTH_LORA, "train_network.py", "sdxl_train_network.py"),
        (Method.DREAMBOOTH, "train_db.py", "sdxl_train.py"),
        (Method.TEXTUAL_INVERSION, "train_textual_inversion.py", "sdxl_train_textual_inversion.py"),
    ],
)
def test_every_method_has_its_script(method: Method, script: str, sdxl_script: str) -> None:
    assert command(order_of(method))[0] == script
    assert command(order_of(method, SDXL))[0] == sdxl_script


@pytest.mark.parametrize("method", Method)
def test_no_setting_is_forgotten(method: Method) -> None:
    """Each one changes the command line or the prompts, or is known to belong elsewhere."""
    kind, shots = PLANS[method], [Shot("a photo", 1)]

    def told(**plan: Any) -> tuple[list[str], str]:
        order = order_of(method, **plan)
        return command(order), prompts(shots, order)

    elsewhere = NOT_OF_THE_ENGINE | IN_THE_DATASET | {"precision", "scale_v_loss"}
    if method is Method.TEXTUAL_INVERSION:
        elsewhere |= {"text_encoder_learning_rate", "prior_weight"}  # nothing but the words is trained
    for name, declared in kind.__fields__.items():
        if name not in elsewhere:
            other = OTHER_VALUES[name] if name in OTHER_VALUES else 2 * (declared.default or 0) + 1
            assert told() != told(**{name: other}), name


@pytest.mark.parametrize(
    ("longest", "length"), [(0, None), (75, None), (76, 150), (150, 150), (151, 225), (225, 225), (900, 225)]
)
@pytest.mark.parametrize("base", [base_of(), SDXL])
def test_captions_that_are_longer_than_75_tokens_are_not_cut_there(
    base: BaseModelFile, longest: int, length: int | None
) -> None:
    order = replace(order_of(base=base), longest=longest)
    assert arguments(order)["max_token_length"] == length
    assert ("--max_token_length" in command(order)) is (length is not None)


def test_precision_is_that_of_the_device() -> None:
    assert arguments(order_of(mixed_precision="bf16"))["mixed_precision"] == "bf16"


@pytest.mark.parametrize(
    ("base", "switches"),
    [
        (base_of(), set()),
        (base_of(Family.SD2), {"v2"}),
        (base_of(Family.SD2, "v_prediction"), {"v2", "v_parameterization"}),
        (base_of(Family.SDXL, "v_prediction"), {"v_parameterization"}),
        (
            base_of(Family.SDXL, "v_prediction", zero_terminal_snr=True),
            {"v_parameterization", "zero_terminal_snr"},
        ),
    ],
)
def test_the_family_and_its_prediction_are_told(base: Any, switches: set[str]) -> None:
    found = arguments(order_of(base=base))
    assert {name for name in ("v2", "v_parameterization", "zero_terminal_snr") if found[name]} == switches


def test_the_chosen_vae_goes_with_it() -> None:
    assert arguments(order_of(base=base_of(vae=Path("/models/other.vae.pt"))))["vae"] == "/models/other.vae.pt"
    assert "--vae" not in command(order_of())


def test_the_loss_of_velocity_is_scaled_only_where_there_is_velocity() -> None:
    name = "scale_v_pred_loss_like_noise_pred"
    assert not arguments(order_of(scale_v_loss=True))[name]
    assert arguments(order_of(base=base_of(Family.SD2, "v_prediction"), scale_v_loss=True))[name]


def test_text_encoders_are_left_alone_unless_they_have_a_rate() -> None:
    assert arguments(order_of())["network_train_unet_only"]
    trained = arguments(order_of(text_encoder_learning_rate=5e-5))
    assert (trained["network_train_unet_only"], trained["text_encoder_lr"]) == (False, 5e-5)
    assert arguments(order_of(Method.DREAMBOOTH))["stop_text_encoder_training"] == -1
    assert arguments(order_of(Method.DREAMBOOTH, text_encoder_learning_rate=1e-6))["learning_rate_te"] == 1e-6
    assert arguments(order_of(Method.DREAMBOOTH, SDXL, text_encoder_learning_rate=1e-6))["train_text_encoder"]


def test_sdxl_encodes_captions_once_when_nothing_changes_them() -> None:
    def once(**plan: Any) -> bool:
        found: bool = arguments(order_of(base=SDXL, **plan))["cache_text_encoder_outputs"]
        return found

    assert once(caption_dropout=0.0)
    assert not once(caption_dropout=0.1)
    assert not once(caption_dropout=0.0, shuffle_captions=True)
    assert not once(caption_dropout=0.0, text_encoder_learning_rate=1e-5)


def test_own_answers_need_one_picture_at_a_time_except_for_sdxl() -> None:
    held = {"prior_weight": 1.0, "prior_from": "prediction", "batch_size": 2, "accumulate": 3}
    assert order_of(**held).batches == (1, 12)
    assert order_of(base=SDXL, **held).batches == (2, 6)
    assert order_of(**{**held, "prior_from": "pictures"}).batches == (2, 6)


def test_the_person_is_shown_as_often_as_by_our_loop() -> None:
    """Half of what it takes in a step holds the class."""
    for held in (0.0, 0.5):
        each, together = order_of(prior_weight=held, batch_size=2, accumulate=3).batches
        assert each * together / (2 if held else 1) == 6


@pytest.mark.parametrize(
    ("plan", "name"),
    [
        ({"schedule": "cosine", "warmup_steps": 10}, "cosine_with_min_lr"),
        ({"schedule": "constant", "warmup_steps": 10}, "constant_with_warmup"),
        ({"schedule": "constant"}, "constant"),
    ],
)
def test_the_learning_rate_takes_the_same_course_as_in_our_loop(plan: dict[str, Any], name: str) -> None:
    import torch
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION, SchedulerType

    found = arguments(order_of(**plan))
    assert found["lr_scheduler"] == name
    settings = {"num_warmup_steps": found["lr_warmup_steps"]} if "lr_warmup_steps" in found else {}
    if name.startswith("cosine"):
        settings |= {"num_training_steps": 100, "num_cycles": 0.5, "min_lr_rate": found["lr_scheduler_min_lr_ratio"]}
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)](optimiser, **settings)
    for step in range(100):
        ours = rate_factor(step, 100, TrainPlan(**plan))
        theirs = float(scheduler.get_last_lr()[0])
        # Theirs begins to warm up at 0, ours at the first step's share.
        assert theirs == pytest.approx(ours, abs=0.11 if step < 10 else 0.002)
        optimiser.step()
        scheduler.step()


def test_an_optimiser_with_its_own_schedule_gets_none() -> None:
    found = arguments(order_of(optimiser="schedulefree", warmup_steps=5))
    assert "lr_scheduler" not in found
    assert "warmup_steps=5" in found["optimizer_args"]


def test_a_true_value_is_a_switch_and_a_missing_one_is_left_out() -> None:
    found = words({"a": True, "b": False, "c": None, "d": 1e-7, "e": ["x=1", "y=2"], "f": 0})
    assert found == ["--a", "--d", "1e-07", "--e", "x=1", "y=2", "--f", "0"]


def test_a_text_is_no_option_whatever_it_begins_with() -> None:
    found = words({"init_word": "--output_dir=/elsewhere"})
    parser = argparse.ArgumentParser()
    parser.add_argument("--init_word")
    parser.add_argument("--output_dir", default="here")
    read = parser.parse_args(found)
    assert (read.init_word, read.output_dir) == ("--output_dir=/elsewhere", "here")


def test_a_word_of_nothing_but_spaces_is_none() -> None:
    order = order_of(Method.TEXTUAL_INVERSION, init_word="  ")
    assert arguments(order)["init_word"] == order.class_noun


def test_prompts_keep_their_options_apart() -> None:
    order = order_of(sample_steps=9, guidance=3.5)
    text = prompts([Shot("# a photo --w 9\nof sks man", 4), Shot("b", 5)], order)
    assert text.splitlines() == [
        "a photo w 9 of sks man --w 512 --h 512 --d 4 --s 9 --l 3.5",
        "b --w 512 --h 512 --d 5 --s 9 --l 3.5",
    ]
