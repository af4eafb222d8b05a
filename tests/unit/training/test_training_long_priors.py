"""What holds the class where it was: where the checkpoint itself is asked, by captions that are as long in windows as
those of the person beside them, so that an untrained LoRA is never pulled away from it; class pictures by their own."""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family, Method
from personal_avatar.training import compute
from personal_avatar.training.data.cache import Latents
from personal_avatar.training.data.reading import text_states
from personal_avatar.training.data.training_set import ClassSet, TrainingSet
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.methods.registry import attach
from personal_avatar.training.objective import Asked, Objective
from personal_avatar.training.planning.plan import BOTH, PICTURES, PLANS, PREDICTION, TrainPlan

pytestmark = pytest.mark.slow

SHORT = "a photo of sks man, smiling"
LONG = "sks man, " + ", ".join(f"tag number {number}" for number in range(25))
LONGER = LONG + ", " + " ".join(f"word{number}" for number in range(30))
STYLED = ("an oil painting of man", "an oil painting of man, " + "very " * 80)
OTHERS = ["a man", "a man, " + "very " * 80]
PLAN = {"rank": 2, "alpha": 2.0, "batch_size": 2, "prior_weight": 1.0, "vary_captions": False}
CAPTIONS = {"mixed": [SHORT, LONG, SHORT, LONGER], "long": [LONG] * 4, "short": [SHORT] * 4}
Untrained = Callable[[Family, bool], tuple[DiffusionModel, TrainingMethod]]


class Told(Objective):
    """Tells how far the last batch of the class is from what is wanted, and in how many windows each was read."""

    held: torch.Tensor
    windows: list[int]

    def _errors(self, *batches: Asked) -> list[torch.Tensor]:
        self.windows = [batch.windows for batch in batches]
        found = super()._errors(*batches)
        self.held = found[-1]
        return found


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Untrained:
    """A model with a LoRA that has learned nothing, and with one on its text encoders where they are not `kept`: made
    once, as no test trains it."""
    torch.set_num_threads(1)

    def attached(family: Family, kept: bool) -> tuple[DiffusionModel, TrainingMethod]:
        model = registry.load(make(family, tmp_path_factory.mktemp(family.value)), compute.choose("fp32"), 64)
        return model, attach(Method.LORA, model, plan_of(kept), trigger="sks man", class_noun="man")

    return lru_cache(attached)


def plan_of(kept: bool, **values: Any) -> TrainPlan:
    """`kept`: what text encoders say is known before the steps."""
    return PLANS[Method.LORA](**PLAN, **values, **({} if kept else {"text_encoder_learning_rate": 1e-4}))


def objective(untrained: Untrained, family: Family, captions: list[str], kept: bool, values: dict[str, Any]) -> Told:
    model, method = untrained(family, kept)
    classes = [caption.replace("sks man", "man") for caption in captions]
    said = ["", *captions, *classes, *STYLED, *OTHERS]
    draw = torch.Generator().manual_seed(0)
    shown = Latents([torch.randn(4, 8, 8, generator=draw) for _ in range(4)], [torch.zeros(4, 8, 8)] * 4)
    data = TrainingSet(
        shown, captions, classes, text_states(model, said) if kept else None,
        others=ClassSet(Latents(shown.mean[:2], shown.std[:2]), OTHERS), styled=STYLED,
    )  # fmt: skip
    return Told(model, method, data, plan_of(kept, **values))


@pytest.mark.parametrize("values", [
    {"prior_dropout": 0.0}, {"prior_dropout": 0.5}, {"prior_styles": 0.5}, {"prior_from": BOTH},
    {"prior_dropout": 0.0, "gradient_checkpointing": True},
], ids=lambda values: " ".join(f"{name}={value}" for name, value in values.items()))
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "anew"])
@pytest.mark.parametrize("family", Family)
def test_what_has_learned_nothing_is_pulled_nowhere(
    untrained: Untrained, family: Family, kept: bool, values: dict[str, Any]
) -> None:
    asked = objective(untrained, family, CAPTIONS["mixed"], kept, values)
    read = set()
    with torch.no_grad():
        for _ in range(8):
            assert float(sum(asked.parts(0.5))) > 0.1
            assert float(asked.held) < 1e-10
            read.add(max(asked.windows))
    assert len(read) > 1, "batches of one window and more"


@pytest.mark.parametrize("held_by", [PICTURES, BOTH, PREDICTION])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "anew"])
def test_a_step_in_two_passes_has_the_loss_of_one_in_a_single_pass(
    untrained: Untrained, held_by: str, kept: bool
) -> None:
    ways = {"prior_from": held_by, "caption_dropout": 0.5, "prior_dropout": 0.5}
    for_speed, for_memory = (
        objective(untrained, Family.SD1, CAPTIONS["mixed"], kept, {**ways, "gradient_checkpointing": twice})
        for twice in (False, True)
    )
    with torch.no_grad():
        for _ in range(8):
            assert float(sum(for_memory.parts(0.5))) == pytest.approx(float(sum(for_speed.parts(0.5))), rel=1e-5)


@pytest.mark.parametrize(("captions", "windows"), [("short", {1}), ("long", {2})])
def test_captions_are_read_in_no_more_windows_than_one_of_the_step_needs(
    untrained: Untrained, captions: str, windows: set[int]
) -> None:
    asked = objective(untrained, Family.SD1, CAPTIONS[captions], True, {"prior_dropout": 0.5})
    read = set()
    with torch.no_grad():
        for _ in range(4):
            list(asked.parts(0.5))
            read.add(max(asked.windows))
    assert read == windows
