"""BLIP from files: the same pictures go in, and the same words come out, as in transformers' own pipeline."""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import blip_miniature
import numpy as np
import pytest
from personal_avatar.captions import blip
from personal_avatar.captions.blip import Blip, BlipFiles
from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from PIL import Image


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    blip_miniature.make(folder / "blip")
    return folder


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def pictures() -> list[np.ndarray]:
    noise = [np.random.default_rng(k).integers(0, 256, (60, 50, 3), dtype=np.uint8) // (k + 1) for k in range(3)]
    ramp = np.linspace(0, 255, 90 * 40 * 3).reshape(90, 40, 3).astype(np.uint8)
    return [*noise, ramp]


def pipeline(folder: Path) -> Any:
    import transformers
    from transformers import BertTokenizer, BlipForConditionalGeneration, BlipImageProcessor

    side = {"height": blip_miniature.SIDE_PX, "width": blip_miniature.SIDE_PX}
    return transformers.pipeline(
        "image-to-text", model=BlipForConditionalGeneration.from_pretrained(folder, local_files_only=True),
        tokenizer=BertTokenizer(str(folder / "vocab.txt")), image_processor=BlipImageProcessor(size=side), device="cpu",
    )


@pytest.mark.slow
def test_captions_are_those_of_the_pipeline(weights: Path) -> None:
    ours, theirs = Blip(blip.find(weights)), pipeline(weights / "blip")
    asked = {"num_beams": 3, "max_new_tokens": 40}
    said = [ours.caption(image) for image in pictures()]
    answers = [theirs(Image.fromarray(image), generate_kwargs=asked)[0]["generated_text"] for image in pictures()]
    assert said == [answer.strip() for answer in answers]
    assert len(set(said)) > 1


@pytest.mark.parametrize("size", [(32, 32), (50, 40), (7, 300)])
def test_a_picture_is_prepared_as_transformers_does(size: tuple[int, int]) -> None:
    from transformers import BlipImageProcessor

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    processor = BlipImageProcessor(size={"height": 64, "width": 64})
    wanted = processor(image, return_tensors="np")["pixel_values"][0]
    assert np.abs(blip.prepared(image, 64) - wanted).max() < 1e-6


def test_a_pickle_of_the_weights_says_the_same(weights: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    target = tmp_path / "blip"
    shutil.copytree(weights / "blip", target)
    state = load_file(target / "model.safetensors")
    (target / "model.safetensors").unlink()
    state["text_decoder.bert.embeddings.position_ids"] = torch.arange(64)[None]  # as older versions wrote it
    torch.save(state, target / "pytorch_model.bin")
    image = pictures()[0]
    assert Blip(blip.find(tmp_path)).caption(image) == Blip(blip.find(weights)).caption(image)


def test_the_sizes_are_read_off_the_weights() -> None:
    """Those of the published model, by their shapes alone."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration

    with torch.device("meta"):
        model = BlipForConditionalGeneration(BlipConfig(text_config={"num_attention_heads": 12}))
    told = BlipConfig(**blip.sizes(model.state_dict()))
    for part in ("vision_config", "text_config"):
        known, found = getattr(model.config, part).to_dict(), getattr(told, part).to_dict()
        assert {name: found[name] for name in known} == known


def test_files_of_other_programs_are_found(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub" / "models--Salesforce--blip-image-captioning-base" / "snapshots" / "82a3"
    shutil.copytree(weights / "blip", hub)
    assert blip.find(tmp_path / "ours").model == hub / "model.safetensors"
    shutil.copytree(weights / "blip", tmp_path / "ours" / "blip")
    assert blip.find(tmp_path / "ours").model.parent == tmp_path / "ours" / "blip"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as caught:
        blip.find(tmp_path)
    assert caught.value.weights == ("blip-model", "blip-words")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_a_broken_file_is_named(weights: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(WeightsCorrupt, match=name):
        Blip(BlipFiles(tmp_path / name, weights / "blip" / "vocab.txt"))


def test_another_model_is_refused(weights: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsCorrupt, match="not BLIP for captions"):
        Blip(BlipFiles(tmp_path / "other.safetensors", weights / "blip" / "vocab.txt"))
    state = load_file(weights / "blip" / "model.safetensors")
    del state["vision_model.post_layernorm.weight"]
    save_file(state, tmp_path / "torn.safetensors")
    with pytest.raises(WeightsCorrupt, match="1 tensors are missing"):
        Blip(BlipFiles(tmp_path / "torn.safetensors", weights / "blip" / "vocab.txt", weights / "blip" / "config.json"))
