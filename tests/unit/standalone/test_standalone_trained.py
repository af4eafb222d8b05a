"""What training saves works as training saw it: the same answers from the file as from the trained model."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family, Method
from personal_avatar.prompts import NetworkTag
from personal_avatar.standalone.checkpoints import CheckpointShelf
from personal_avatar.standalone.networks import AppliedNetworks, Network
from personal_avatar.standalone.texts import encode_pair
from personal_avatar.training.compute import choose
from personal_avatar.training.families.model import Conditioning, DiffusionModel
from personal_avatar.training.families.registry import load
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.methods.registry import attach
from personal_avatar.training.planning.plan import PLANS

TRIGGER, CAPTION = "sks man", "a portrait of sks man, (blue) shirt"


@pytest.fixture(scope="module", params=list(Family), ids=lambda family: family.value)
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BaseModelFile:
    return make(request.param, tmp_path_factory.mktemp(request.param.value))


def loaded(base: BaseModelFile) -> DiffusionModel:
    return load(base, choose("fp32"), 64)


def trained(model: DiffusionModel, method: Method, path: Path, **settings: object) -> TrainingMethod:
    """The method on `model` with random weights, as they are in the file at `path`."""
    plan = PLANS[method](**settings)
    made = attach(method, model, plan, trigger=TRIGGER, class_noun="man")
    generator = torch.Generator().manual_seed(3)
    made.load({
        key: weight + 0.05 * torch.randn(weight.shape, generator=generator) for key, weight in made.state().items()
    })
    made.save(path, {})
    made.load(made.read(path))
    return made


def answer(model: DiffusionModel, text: Conditioning) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.predict(noisy, torch.tensor([500]), text)


def captioned(model: DiffusionModel, caption: str = CAPTION) -> Conditioning:
    with torch.no_grad():
        return model.encode_text([caption])


def same(ours: Conditioning, theirs: Conditioning, atol: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], atol=atol), name


@pytest.mark.slow
@pytest.mark.parametrize("dora", [False, True])
def test_a_trained_lora(base: BaseModelFile, tmp_path: Path, dora: bool) -> None:
    path, model, bare = tmp_path / "pa-anna.safetensors", loaded(base), loaded(base)
    before = answer(bare, captioned(bare))
    trained(model, Method.LORA, path, rank=4, alpha=4.0, conv_rank=2, dora=dora, text_encoder_learning_rate=1e-4)
    theirs = captioned(model)
    networks = AppliedNetworks(bare)
    networks.use([Network(path, NetworkTag("pa-anna"))])
    text = encode_pair(bare, CAPTION.replace("(", r"\(").replace(")", r"\)"), "")[0]
    same(text, theirs, 1e-4)
    changed = answer(model, theirs)
    assert torch.allclose(answer(bare, text), changed, atol=2e-3)
    assert (changed - before).abs().max() > 0.02
    networks.remove()
    assert torch.equal(answer(bare, captioned(bare)), before)


@pytest.mark.slow
def test_a_trained_embedding(base: BaseModelFile, tmp_path: Path) -> None:
    path, model, bare = tmp_path / "pa-anna.safetensors", loaded(base), loaded(base)
    trained(model, Method.TEXTUAL_INVERSION, path, vectors=3)
    text = encode_pair(bare, CAPTION.replace("sks", "pa-anna").replace("(", r"\(").replace(")", r"\)"), "", tmp_path)[0]
    same(text, captioned(model), 1e-5)
    assert not torch.allclose(text["states"], captioned(bare)["states"], atol=1e-2)


@pytest.mark.slow
def test_a_trained_checkpoint(base: BaseModelFile, tmp_path: Path) -> None:
    path, model = tmp_path / "anna.safetensors", loaded(base)
    trained(model, Method.DREAMBOOTH, path, text_encoder_learning_rate=1e-6)
    shelf = CheckpointShelf(tmp_path, tmp_path / "settings.json", tmp_path / "cache.json")
    again = loaded(shelf.find(str(path)))
    same(captioned(again), captioned(model), 1e-5)
    assert torch.allclose(answer(again, captioned(again)), answer(model, captioned(model)), atol=1e-4)
