"""What each method of a comparison takes of the settings that a user gave."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import InvalidSettings
from personal_avatar.studio.plans import WAYS, shared_out, taken_by, told, unknown_to

TINY = BaseModelFile(Path("tiny.safetensors"), "tiny", Family.SD1, native_px=192)
PAIR = ("lora", "dreambooth")


def shares(plan: dict[str, Any], ways: tuple[str, ...] = WAYS) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    return {way: (share.plan, share.left) for way, share in shared_out(plan, ways, TINY).items()}


def test_a_learning_rate_is_given_to_methods_of_about_that_rate_and_the_others_are_named() -> None:
    rate = {"learning_rate": "4e-3"}
    found = shares({**rate, "steps": 9}, PAIR)
    assert found == {"lora": ({**rate, "steps": 9}, {}), "dreambooth": ({"steps": 9}, rate)}
    assert told(shared_out(rate, PAIR, TINY)) == [
        "LoRA takes learning_rate=4e-3.",
        "Dreambooth takes its own settings; not learning_rate=4e-3, which does not suit it.",
    ]
    assert told(shared_out({"steps": 9}, PAIR, TINY)) == []


def test_the_rate_of_a_text_encoder_is_as_relative() -> None:
    rate = {"text_encoder_learning_rate": 1e-3}
    assert shares(rate, PAIR) == {"lora": (rate, {}), "dreambooth": ({"text_encoder_learning_rate": 1e-3}, {})}
    rate = {"text_encoder_learning_rate": 4e-3}
    assert shares(rate, PAIR)["dreambooth"] == ({}, rate)


def test_an_optimiser_is_for_the_methods_that_can_be_trained_with_it() -> None:
    found = shares({"optimiser": "muon"})
    assert [way for way, (_, left) in found.items() if left] == ["dreambooth", "textual-inversion"]
    assert found["lora"][0] == {"optimiser": "muon"}


def test_what_is_for_one_method_alone_is_taken_by_it_as_it_is() -> None:
    plan = {"lora.learning_rate": 1.0, "learning_rate": 3e-4, "dreambooth.optimiser": "muon"}
    assert shares(plan, PAIR) == {
        "lora": ({"learning_rate": 1.0}, {}), "dreambooth": ({"learning_rate": 3e-4, "optimiser": "muon"}, {}),
    }
    assert unknown_to(PAIR, {**plan, "lora.vectors": 1, "textual-inversion.vectors": 2, "rank": 3}) == [
        "lora.vectors", "textual-inversion.vectors"]


def test_a_single_method_takes_whatever_is_given() -> None:
    for plan in ({"learning_rate": 1.0}, {"optimiser": "muon"}):
        assert shares(plan, ("dreambooth", "one-photo"))["dreambooth"] == (plan, {})


def test_a_rate_that_suits_none_of_several_is_refused_with_what_to_write() -> None:
    with pytest.raises(InvalidSettings, match="learning_rate 9.0 is more than ten times") as caught:
        shares({"learning_rate": 9.0})
    assert "lora.learning_rate=9.0" in caught.value.hint


def test_an_optimiser_without_a_rate_of_its_own_brings_its_rate() -> None:
    plan = {"optimiser": "prodigy", "learning_rate": 1.0}
    assert shares(plan, ("dreambooth", "textual-inversion"))["dreambooth"] == (plan, {})
    assert taken_by("lora", {"optimiser": "prodigy", "rank": 4}) == {"optimiser": "prodigy", "rank": 4}
