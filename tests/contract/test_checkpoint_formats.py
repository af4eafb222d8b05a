"""A Dreambooth checkpoint is a file like the one that it was made from: to diffusers, and tensor by tensor."""
from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from foreign import PROMPT, answer, load, pipeline
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.families.files import read_weights
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.dreambooth import Dreambooth
from personal_avatar.training.planning.plan import DreamboothPlan
from safetensors import safe_open
from safetensors.torch import load_file

FAMILIES = tuple(Family)
PLAN = DreamboothPlan(text_encoder_learning_rate=1e-6)


class Trained(NamedTuple):
    """One for all tests: they look at it and leave it as it is."""

    base: BaseModelFile
    model: DiffusionModel
    file: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family, str], Trained]:
    """From a base with a suffix."""

    @cache
    def trained(family: Family, suffix: str) -> Trained:
        folder = tmp_path_factory.mktemp(family.value)
        base = make(family, folder, half=True, suffix=suffix)
        model, file = load(base), folder / "linh.safetensors"
        train(model, file)
        return Trained(base, model, file)

    return trained


def train(model: DiffusionModel, file: Path) -> Dreambooth:
    method, generator = Dreambooth(model, PLAN), torch.Generator().manual_seed(7)
    method.load({
        name: weight * (1 + 0.2 * torch.randn(weight.shape, generator=generator))
        for name, weight in method.state().items()
    })
    method.save(file, {"modelspec.title": "Linh"})
    method.load(method.read(file))
    return method


def from_file(pipe: Any, file: Path, folder: Path) -> Any:
    """A pipeline of diffusers, its sizes from the folder of another one, its weights from a single file."""
    pipe.save_pretrained(folder)
    for weights in folder.rglob("*.safetensors"):
        weights.unlink()
    return type(pipe).from_single_file(str(file), config=str(folder), local_files_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_diffusers_reads_the_trained_network_from_the_single_file(
    trained: Callable[[Family, str], Trained], family: Family, tmp_path: Path
) -> None:
    base, ours, file = trained(family, ".safetensors")
    untrained = load(base)
    read = from_file(pipeline(untrained), file, tmp_path / "folder")
    bare, theirs = answer(untrained), read.unet.state_dict()
    for name, weight in ours.unet.state_dict().items():
        assert torch.equal(theirs[name].float(), weight), name
    with torch.no_grad():
        found = ours.encode_text([PROMPT])
        untrained.unet = read.unet
        untrained.text_encoders = dict(zip(untrained.text_encoders, texts_of(read), strict=True))
        assert torch.allclose(untrained.encode_text([PROMPT])["states"], found["states"], atol=1e-5)
    wanted = answer(ours)
    assert torch.allclose(answer(untrained), wanted, atol=1e-5)
    assert not torch.allclose(wanted, bare, atol=1e-2)


def texts_of(pipe: Any) -> list[Any]:
    second = getattr(pipe, "text_encoder_2", None)
    return [pipe.text_encoder, *([second] if second is not None else [])]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_the_file_has_the_tensors_of_the_base_in_their_formats(
    trained: Callable[[Family, str], Trained], family: Family, suffix: str
) -> None:
    base, model, file = trained(family, suffix)
    before, after = read_weights(base.path), load_file(file)
    assert {name: (one.shape, one.dtype) for name, one in after.items()} == {
        name: (one.shape, one.dtype) for name, one in before.items()
    }
    moved = {name for name, one in after.items() if not torch.equal(one, before[name])}
    assert moved == set(model.file_tensors(text=True))
    assert file.with_suffix(".yaml").read_bytes() == base.path.with_suffix(".yaml").read_bytes()
    with safe_open(str(file), "pt") as opened:
        assert opened.metadata()["modelspec.title"] == "Linh"
