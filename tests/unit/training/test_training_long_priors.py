"""What holds the class where it was asks by captions that are as long in windows as those of the person beside them:
an untrained LoRA is never pulled away from its checkpoint."""
from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family, Method
from personal_avatar.training import compute
from personal_avatar.training.cache import Latents
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.registry import attach
from personal_avatar.training.objective import Asked, Objective
from personal_avatar.training.plan import BOTH, PLANS
from personal_avatar.training.reading import text_states
from personal_avatar.training.training_set import ClassSet, TrainingSet

pytestmark = pytest.mark.slow

SHORT = "a photo of sks man, smiling"
LONG = "sks man, " + ", ".join(f"tag number {number}" for number in range(25))
LONGER = LONG + ", " + " ".join(f"word{number}" for number in range(30))
STYLED = ("an oil painting of man", "an oil painting of man, " + "very " * 80)
OTHERS = ["a man", "a man, " + "very " * 80]
PLAN = {"rank": 2, "alpha": 2.0, "batch_size": 2, "prior_weight": 1.0, "vary_captions": False}
CAPTIONS = {"mixed": [SHORT, LONG, SHORT, LONGER], "long": [LONG] * 4, "short": [SHORT] * 4}
Models = Callable[[Family], DiffusionModel]


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
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    torch.set_num_threads(1)
    bases = lru_cache(lambda family: make(family, tmp_path_factory.mktemp(family.value)))
    return lambda family: registry.load(bases(family), compute.choose("fp32"), 64)


def objective(model: DiffusionModel, captions: list[str], kept: bool, values: dict[str, Any]) -> Told:
    """Of a LoRA that has learned nothing. `kept`: what text encoders say is known before the steps."""
    plan = PLANS[Method.LORA](**PLAN, **values, **({} if kept else {"text_encoder_learning_rate": 1e-4}))
    classes = [caption.replace("sks man", "man") for caption in captions]
    said = ["", *captions, *classes, *STYLED, *OTHERS]
    draw = torch.Generator().manual_seed(0)
    shown = Latents([torch.randn(4, 8, 8, generator=draw) for _ in range(4)], [torch.zeros(4, 8, 8)] * 4)
    data = TrainingSet(
        shown, captions, classes, text_states(model, said) if kept else None,
        others=ClassSet(Latents(shown.mean[:2], shown.std[:2]), OTHERS), styled=STYLED,
    )  # fmt: skip
    method = attach(Method.LORA, model, plan, trigger="sks man", class_noun="man")
    return Told(model, method, data, plan)


@pytest.mark.parametrize("values", [
    {"prior_dropout": 0.0}, {"prior_dropout": 0.5}, {"prior_styles": 0.5}, {"prior_from": BOTH},
    {"prior_dropout": 0.0, "gradient_checkpointing": True},
], ids=lambda values: " ".join(f"{name}={value}" for name, value in values.items()))
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "anew"])
@pytest.mark.parametrize("family", Family)
def test_what_has_learned_nothing_is_pulled_nowhere(
    models: Models, family: Family, kept: bool, values: dict[str, Any]
) -> None:
    asked = objective(models(family), CAPTIONS["mixed"], kept, values)
    read = set()
    with torch.no_grad():
        for _ in range(8):
            assert float(sum(asked.parts(0.5))) > 0.1
            assert float(asked.held) < 1e-10
            read.add(max(asked.windows))
    assert len(read) > 1, "batches of one window and more"


@pytest.mark.parametrize(("captions", "windows"), [("short", {1}), ("long", {2})])
def test_captions_are_read_in_no_more_windows_than_one_of_the_step_needs(
    models: Models, captions: str, windows: set[int]
) -> None:
    asked = objective(models(Family.SD1), CAPTIONS[captions], True, {"prior_dropout": 0.5})
    read = set()
    with torch.no_grad():
        for _ in range(4):
            list(asked.parts(0.5))
            read.add(max(asked.windows))
    assert read == windows
