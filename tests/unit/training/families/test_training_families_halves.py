"""Text encoders whose weights lie in half precision, beside the same ones held in fp32."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.registry import attach
from personal_avatar.training.planning.network import network_in
from personal_avatar.training.planning.plan import PLANS
from pretended_card import Card
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.slow

CAPTIONS = ["a portrait of sks man", ""]
LOW_RANK = {"rank": 2, "alpha": 2.0, "text_encoder_learning_rate": 1e-4}
CASES: list[tuple[Method, dict[str, Any]]] = [
    (Method.TEXTUAL_INVERSION, {}), (Method.LORA, LOW_RANK), (Method.LORA, {**LOW_RANK, "dora": True}),
    (Method.DREAMBOOTH, {"text_encoder_learning_rate": 1e-4}),
]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, BaseModelFile]:
    torch.set_num_threads(1)
    return {family: make(family, tmp_path_factory.mktemp(family.value), half=True) for family in Family}


@pytest.fixture
def card() -> Iterator[Card]:
    with Card().plugged_in() as found:
        yield found


def load(base: BaseModelFile, *, as_stored: bool = True, precision: str = "fp16") -> DiffusionModel:
    return registry.load(base, compute.choose(precision), 64, text_as_stored=as_stored)


def formats(model: DiffusionModel) -> set[torch.dtype]:
    """Of the text encoders' weights."""
    return {weight.dtype for encoder in model.text_encoders.values() for weight in encoder.parameters()}


def begin(model: DiffusionModel, method: Method, values: dict[str, Any]) -> Any:
    return attach(method, model, PLANS[method](**values), trigger="sks man", class_noun="man")


def train(made: Any) -> None:
    """Weights as if they had been trained already."""
    draw, state = torch.Generator().manual_seed(1), made.state()
    made.load({key: torch.randn(state[key].shape, generator=draw) * 0.05 for key in sorted(state)})


def read(model: DiffusionModel) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return model.encode_text(["sks man"])


def learned(model: DiffusionModel, made: Any) -> list[torch.Tensor]:
    """What is read of captions, the loss, and all gradients."""
    text = model.encode_text(CAPTIONS)
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2)).to("cuda")
    loss = model.predict(noisy, torch.full((2,), 300, device="cuda"), text).square().mean()
    loss.backward()
    trained = [weight for group in made.parameter_groups() for weight in group["params"]]
    assert {weight.dtype for weight in trained} == {torch.float32}
    gradients = [weight.grad for weight in trained if weight.grad is not None]  # not of layers that no family asks
    assert len(gradients) > len(trained) / 2
    return [*text.values(), loss, *gradients]


@pytest.mark.parametrize(("family", "method", "values"), [
    *((Family.SDXL, *case) for case in CASES), (Family.SD1, *CASES[0]), (Family.SD2, *CASES[0]),
])
def test_beginning_answers_and_gradients_are_those_of_weights_in_fp32_and_weight_zero_is_the_bare_checkpoint(
    bases: dict[Family, BaseModelFile], card: Card, family: Family, method: Method, values: dict[str, Any]
) -> None:
    """To the last bit."""
    models = [load(bases[family], as_stored=as_stored) for as_stored in (True, False)]
    assert formats(models[0]) > formats(models[1])
    bare = read(models[0])
    ours, theirs = (begin(model, method, values) for model in models)
    begun, expected = ours.state(), theirs.state()
    assert begun.keys() == expected.keys() and all(torch.equal(begun[key], expected[key]) for key in begun)
    train(ours)
    train(theirs)
    with ours.strength(0.0):
        again = read(models[0])
    assert all(torch.equal(again[name], bare[name]) for name in bare)
    assert not torch.equal(read(models[0])["states"], bare["states"])
    found, wanted = (learned(model, made) for model, made in zip(models, (ours, theirs), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert all(bool(one.isfinite().all()) for one in found)


def test_they_take_half_the_memory_and_go_back_into_a_file_as_they_were(
    bases: dict[Family, BaseModelFile], card: Card
) -> None:
    model = load(bases[Family.SDXL])
    stored = load_file(bases[Family.SDXL].path)
    assert all(torch.equal(one, stored[name]) for name, one in model.file_tensors(text=True).items())
    ours = sum(weight.nbytes for encoder in model.text_encoders.values() for weight in encoder.parameters())
    whole = sum(4 * weight.numel() for encoder in model.text_encoders.values() for weight in encoder.parameters())
    assert ours < 0.55 * whole
    assert network_in(bases[Family.SDXL].path).text_stored == pytest.approx(ours, rel=0.05)


def test_what_a_file_has_in_fp32_or_in_eight_bits_is_held_in_fp32(
    bases: dict[Family, BaseModelFile], card: Card, tmp_path: Path
) -> None:
    for kind in (torch.float32, torch.float8_e4m3fn):
        path = tmp_path / f"{kind}.safetensors"
        save_file({name: one.to(kind) for name, one in load_file(bases[Family.SD1].path).items()}, path)
        assert formats(load(replace(bases[Family.SD1], path=path))) == {torch.float32}
    assert formats(load(bases[Family.SD1])) == {torch.float32, torch.float16}


def test_on_a_processor_they_are_held_in_fp32(bases: dict[Family, BaseModelFile]) -> None:
    assert formats(load(bases[Family.SD1], precision="bf16")) == {torch.float32}
