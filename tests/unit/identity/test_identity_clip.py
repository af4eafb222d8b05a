"""CLIP built from shapes gives what transformers' own processor and network give."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from miniature_adapters import CLIP_WIDTH, make_clip_vision
from personal_avatar.errors import WeightsCorrupt
from personal_avatar.identity import clip
from safetensors.torch import load_file, save_file

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip_vision(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


def reference(folder: Path, pixels: torch.Tensor) -> torch.Tensor:
    from transformers import CLIPVisionModelWithProjection

    network = CLIPVisionModelWithProjection.from_pretrained(folder).eval()
    with torch.no_grad():
        return network(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]


def processed(crops: np.ndarray) -> torch.Tensor:
    from transformers import CLIPImageProcessor

    found: torch.Tensor = CLIPImageProcessor()(images=list(crops), return_tensors="pt").pixel_values
    return found


def test_states_are_those_of_transformers(folder: Path, crops: np.ndarray) -> None:
    states = clip.load(folder / "model.safetensors", CPU, torch.float32)(crops)
    assert states.shape == (2, 257, CLIP_WIDTH)
    torch.testing.assert_close(states, reference(folder, processed(crops)), rtol=1e-5, atol=1e-5)


def test_pixels_are_those_of_the_processor(crops: np.ndarray) -> None:
    torch.testing.assert_close(clip.pixels_of(crops, 224), processed(crops), rtol=0, atol=1e-6)


def test_nobody_is_a_picture_of_zeros(folder: Path) -> None:
    states = clip.load(folder / "model.safetensors", CPU, torch.float32)(None)
    expected = reference(folder, torch.zeros(1, 3, 224, 224))
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)


def test_a_pickle_and_a_whole_clip_are_read_too(folder: Path, crops: np.ndarray, tmp_path: Path) -> None:
    expected = clip.load(folder / "model.safetensors", CPU, torch.float32)(crops)
    weights = load_file(folder / "model.safetensors")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    more = {"text_model.final_layer_norm.weight": torch.ones(3), "vision_model.embeddings.position_ids": torch.ones(1)}
    torch.save({**weights, **more}, tmp_path / "clip_h.pth")
    assert torch.equal(clip.load(tmp_path / "clip_h.pth", CPU, torch.float32)(crops), expected)


def test_half_precision_is_not_used_on_a_processor_and_it_can_be_moved(folder: Path, crops: np.ndarray) -> None:
    network = clip.load(folder / "model.safetensors", CPU, torch.float16)
    assert network(crops).dtype == torch.float32 and network.to("cpu") is network


def test_heads_of_a_large_one_need_no_configuration(folder: Path, crops: np.ndarray, tmp_path: Path) -> None:
    save_file(load_file(folder / "model.safetensors"), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"hidden_size": 1280, "num_attention_heads": 3}')  # another network's
    alone = clip.load(tmp_path / "model.safetensors", CPU, torch.float32)(crops)
    beside = clip.load(folder / "model.safetensors", CPU, torch.float32)(crops)
    assert alone.shape == beside.shape and not torch.equal(alone, beside)  # 16 heads, and 2


@pytest.mark.parametrize("lost", ["vision_model.encoder.layers.1.mlp.fc1.bias", "vision_model.pre_layrnorm.weight"])
def test_a_file_that_lacks_something_is_named(lost: str, folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights[lost]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(WeightsCorrupt, match="model.safetensors"):
        clip.load(tmp_path / "model.safetensors", CPU, torch.float32)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "absent.safetensors"])
def test_a_file_that_is_something_else_is_named(name: str, tmp_path: Path) -> None:
    if not name.startswith("absent"):
        (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(WeightsCorrupt, match=name):
        clip.load(tmp_path / name, CPU, torch.float32)
