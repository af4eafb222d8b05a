"""Embeddings: found by name, read from every layout that the WebUI reads, and in the place of their words."""
from __future__ import annotations

import gc
import subprocess
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from personal_avatar.errors import GenerationFailed
from personal_avatar.host import PictureRequest
from personal_avatar.standalone.embeddings import embedding_for
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.standalone.texts import encode_pair
from personal_avatar.training.compute import choose
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.registry import load
from safetensors.torch import save_file

pytestmark = pytest.mark.slow

WIDTH = 64  # of the shipped checkpoint's words
REQUEST = PictureRequest("a portrait of a woman", "", (3,), 64, 64, steps=3, guidance=4.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> DiffusionModel:
    base = StandaloneHost(tmp_path_factory.mktemp("home")).checkpoint()
    return load(base, choose("fp32"), 64)


@pytest.fixture
def embedding_folder(host: StandaloneHost) -> Iterator[Path]:
    folder = host.folders().embeddings
    yield folder
    for file in folder.iterdir():
        file.unlink()


def vectors(words: int = 2, width: int = WIDTH, seed: int = 0) -> torch.Tensor:
    return torch.randn((words, width), generator=torch.Generator().manual_seed(seed))


def write(path: Path, found: torch.Tensor) -> Path:
    save_file({"emb_params": found}, path)
    return path


def states(model: DiffusionModel, prompt: str, folder: Path | None = None) -> torch.Tensor:
    return encode_pair(model, prompt, "", folder)[0]["states"]


def table(model: DiffusionModel) -> torch.Tensor:
    (encoder,) = model.text_encoders.values()
    return encoder.get_input_embeddings().weight


def ids(model: DiffusionModel, text: str) -> list[int]:
    return model.tokenizers[0](text, add_special_tokens=False).input_ids


@pytest.mark.slow
def test_an_embedding_of_a_words_own_vectors_is_that_word(model: DiffusionModel, tmp_path: Path) -> None:
    words = "a woman, blue shirt"
    write(tmp_path / "pa-anna.safetensors", table(model)[ids(model, words)].clone())
    for template in ("{}", "portrait of {} smiling", "({}:1.3), [x]", "x, " * 30 + "{}" + ", y" * 30):
        wanted = states(model, template.format(words))
        assert torch.equal(states(model, template.format("pa-anna"), tmp_path), wanted), template
        assert not torch.equal(states(model, template.format("pa-anna")), wanted)


@pytest.mark.slow
def test_the_encoder_is_as_it_was_afterwards(model: DiffusionModel, tmp_path: Path) -> None:
    write(tmp_path / "pa-anna.safetensors", vectors())
    before = states(model, "pa-anna")
    assert not torch.equal(states(model, "pa-anna", tmp_path), before)
    assert torch.equal(states(model, "pa-anna"), before)
    (encoder,) = model.text_encoders.values()
    assert not encoder.get_input_embeddings()._forward_hooks


def test_the_result_is_that_of_diffusers(model: DiffusionModel, tmp_path: Path) -> None:
    """Parity with the reference implementation: the same file through `load_textual_inversion`."""
    from diffusers import StableDiffusionPipeline

    path = write(tmp_path / "pa-anna.safetensors", vectors(3))
    folder = model.base.path.parent
    reference = StableDiffusionPipeline.from_single_file(
        str(model.base.path), config=str(folder / "diffusers"), local_files_only=True, safety_checker=None
    )
    reference.load_textual_inversion(str(path), token="pa-anna")
    with torch.no_grad():
        theirs = reference.encode_prompt("a portrait of pa-anna, blue shirt", "cpu", 1, False)[0]
    assert torch.allclose(states(model, "a portrait of pa-anna, blue shirt", tmp_path), theirs, atol=1e-5)


def _webui(found: torch.Tensor) -> dict[str, Any]:
    return {"string_to_token": {"*": 265}, "string_to_param": {"*": found}, "name": "other", "step": 10}


def _first_paper(found: torch.Tensor) -> dict[str, Any]:
    return {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": torch.nn.ParameterDict({"*": found})}


@pytest.mark.parametrize(("suffix", "layout"), [
    (".pt", _webui), (".pt", _first_paper), (".bin", lambda found: {"<cat>": found}),
    (".bin", lambda found: {"<cat>": found[0]}),
])
def test_every_layout_is_read(model: DiffusionModel, tmp_path: Path, suffix: str, layout: Any) -> None:
    path, found = tmp_path / f"pa-anna{suffix}", vectors()
    torch.save(layout(found), path)
    (read,) = embedding_for(model, "pa-anna", path).vectors
    assert torch.equal(read, found[: len(read)]) and read.dtype == torch.float32


class Intruder:
    def __reduce__(self) -> tuple[Any, ...]:
        return subprocess.check_call, (["true"],)


@pytest.mark.parametrize("content", ["code", "two", "nothing", "damaged", "nan", "scalar", "list"])
def test_what_is_no_embedding_is_refused_by_name(model: DiffusionModel, tmp_path: Path, content: str) -> None:
    path = tmp_path / "pa-eve.pt"
    if content == "damaged":
        path.write_bytes(b"PK\x03\x04 and no more")
    else:
        nan = torch.full((1, WIDTH), float("nan"))
        torch.save({
            "code": {"emb_params": Intruder()}, "two": {"a": vectors(), "b": vectors()}, "nothing": {},
            "nan": {"a": nan}, "scalar": {"a": torch.tensor(1.0)}, "list": [1],
        }[content], path)
    with pytest.raises(GenerationFailed, match=r"pa-eve\.pt"):
        embedding_for(model, "pa-eve", path)


@pytest.mark.slow
@pytest.mark.parametrize(("content", "said"), [
    ({"emb_params": vectors(width=1024)}, "Stable Diffusion 2.x"),
    ({"clip_l": vectors(), "clip_g": vectors(width=128)}, "Stable Diffusion XL"),
    ({"emb_params": vectors(76)}, "76 vectors"),
])
def test_an_embedding_of_another_family_is_refused_by_name(
    host: StandaloneHost, embedding_folder: Path, content: dict[str, torch.Tensor], said: str
) -> None:
    save_file(content, embedding_folder / "pa-anna.safetensors")
    for request in (replace(REQUEST, prompt="x pa-anna"), replace(REQUEST, negative_prompt="pa-anna")):
        with pytest.raises(GenerationFailed, match=said) as caught:
            list(host.generate(request, lambda step, total: None))
        assert "pa-anna" in caught.value.message
    assert list(host.generate(REQUEST, lambda step, total: None))


@pytest.mark.slow
def test_an_embedding_changes_pictures_from_both_prompts_and_only_when_it_is_named(
    host: StandaloneHost, embedding_folder: Path
) -> None:
    def picture(prompt: str, negative: str = "") -> np.ndarray:
        request = replace(REQUEST, prompt=prompt, negative_prompt=negative)
        return next(iter(host.generate(request, lambda step, total: None))).image.astype(int)

    plain, named = picture("a portrait"), picture("a portrait of pa-anna")
    write(embedding_folder / "pa-anna.safetensors", vectors())
    assert np.array_equal(picture("a portrait"), plain)
    assert np.abs(picture("a portrait of PA-Anna") - named).max() > 5
    assert np.abs(picture("a portrait", "pa-anna") - plain).max() > 5
    first = picture("a portrait of pa-anna")
    write(embedding_folder / "pa-anna.safetensors", vectors(seed=1))
    assert np.abs(picture("a portrait of pa-anna") - first).max() > 5, "a file that was written anew is read anew"


def test_an_embedding_is_not_kept_after_its_use(model: DiffusionModel, tmp_path: Path) -> None:
    """Who was erased is in no memory either."""
    path = write(tmp_path / "pa-anna.safetensors", vectors())
    alive = weakref.ref(embedding_for(model, "pa-anna", path).vectors[0])
    gc.collect()
    assert alive() is None


def test_break_begins_a_new_window(model: DiffusionModel) -> None:
    both = states(model, "a red shirt BREAK green hair")
    assert both.shape[1] == 2 * 77
    assert torch.allclose(both[:, :77], states(model, "a red shirt"), atol=1e-5)
    assert torch.allclose(both[:, 77:], states(model, "green hair"), atol=1e-5)
    assert states(model, "a red shirt BREAK").shape[1] == 77
