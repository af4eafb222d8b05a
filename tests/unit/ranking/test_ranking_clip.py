"""How well a prompt is followed: the numbers of transformers' CLIPModel, from either layout of the file."""
from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from personal_avatar.errors import WeightsCorrupt
from personal_avatar.ranking import clip, clip_files
from personal_avatar.ranking.scripted import is_scripted, read_scripted
from personal_avatar.shipped import TOKENIZER
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPTokenizer

WIDTH, PATCH, SIDE, DEPTH = 64, 8, 32, 2
TEXTS = ["a portrait of a woman in a red coat", "two dogs"]


@pytest.fixture(scope="module")
def reference() -> CLIPModel:
    """A CLIP of random weights, with everything that the large ones have."""
    torch.manual_seed(3)
    half = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 1}
    model = CLIPModel(CLIPConfig(
        text_config={**half, "hidden_act": "quick_gelu", "eos_token_id": 49407},
        vision_config={**half, "hidden_act": "quick_gelu", "image_size": SIDE, "patch_size": PATCH}, projection_dim=48,
    )).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.08)
    return model


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [rng.integers(0, 256, size, dtype=np.uint8) for size in ((90, 64, 3), (40, 77, 3))]


@pytest.fixture(scope="module")
def expected(reference: CLIPModel, images: list[np.ndarray]) -> np.ndarray:
    """Cosines by transformers alone: its processor, its tokenizer, its model."""
    processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    tokens = CLIPTokenizer.from_pretrained(str(TOKENIZER))(
        TEXTS, padding="max_length", max_length=77, return_tensors="pt"
    )
    pixels = processor(images, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        told = reference(input_ids=tokens["input_ids"], pixel_values=pixels)
    return np.diag(told.logits_per_image.numpy()) / float(reference.logit_scale.exp())


def plain_tensors(model: CLIPModel) -> dict[str, torch.Tensor]:
    return {name: one.contiguous() for name, one in model.state_dict().items() if not name.endswith("position_ids")}


def as_openai(model: CLIPModel) -> dict[str, torch.Tensor]:
    """The same weights by the names that OpenAI gave them."""
    state = plain_tensors(model)
    made = {
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T, "text_projection": state["text_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "logit_scale": state["logit_scale"],
    }
    for ours, theirs in (("vision_model.pre_layrnorm", "visual.ln_pre"), ("text_model.final_layer_norm", "ln_final"),
                         ("vision_model.post_layernorm", "visual.ln_post")):
        made |= {f"{theirs}.{part}": state[f"{ours}.{part}"] for part in ("weight", "bias")}
    for half, prefix in (("vision_model", "visual.transformer"), ("text_model", "transformer")):
        for layer in range(DEPTH):
            ours, theirs = f"{half}.encoder.layers.{layer}.", f"{prefix}.resblocks.{layer}."
            for part in ("weight", "bias"):
                made[f"{theirs}attn.in_proj_{part}"] = torch.cat(
                    [state[f"{ours}self_attn.{which}_proj.{part}"] for which in "qkv"]
                )
                for name, other in (("self_attn.out_proj", "attn.out_proj"), ("mlp.fc1", "mlp.c_fc"),
                                    ("mlp.fc2", "mlp.c_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2")):
                    made[f"{theirs}{other}.{part}"] = state[f"{ours}{name}.{part}"]
    return {name: one.contiguous() for name, one in made.items()}


class Bag(torch.nn.Module):
    """Modules that hold weights under given names, as the program in OpenAI's files does."""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return value


def scripted(weights: dict[str, torch.Tensor], path: Path) -> Path:
    root = Bag()
    for name, weight in weights.items():
        *folders, last = name.split(".")
        place: torch.nn.Module = root
        for folder in folders:
            if not hasattr(place, folder):
                place.add_module(folder, Bag())
            place = getattr(place, folder)
        place.register_parameter(last, torch.nn.Parameter(weight, requires_grad=False))
    torch.jit.script(root).save(str(path))
    return path


def written(model: CLIPModel, layout: str, folder: Path) -> Path:
    if layout == "transformers":
        model.config.save_pretrained(folder)
        save_file(plain_tensors(model), folder / "model.safetensors")
        return folder / "model.safetensors"
    if layout == "openai":
        return scripted(as_openai(model), folder / "ViT-B-32.pt")
    save_file(as_openai(model), folder / "clip-quickgelu.safetensors")
    return folder / "clip-quickgelu.safetensors"


@pytest.mark.parametrize("layout", ["transformers", "openai", "open_clip"])
def test_scores_are_those_of_transformers(
    reference: CLIPModel, images: list[np.ndarray], expected: np.ndarray, layout: str, tmp_path: Path
) -> None:
    path = written(reference, layout, tmp_path)
    assert clip_files.find((tmp_path / "nowhere", tmp_path)) == path
    cosines, seen = clip.load(path).cosines(images, TEXTS)
    np.testing.assert_allclose(cosines, expected, atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), 1.0, atol=1e-5)


def test_it_can_be_read_while_a_checkpoint_is_loaded(
    reference: CLIPModel, images: list[np.ndarray], expected: np.ndarray, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For that time the WebUI replaces these of all threads: `InitializeOnMeta`, `LoadStateDictOnMeta`."""
    path = written(reference, "transformers", tmp_path)
    for layer in (torch.nn.Linear, torch.nn.Conv2d):
        make = layer.__init__
        monkeypatch.setattr(layer, "__init__", lambda *args, _make=make, **kw: _make(*args, **{**kw, "device": "meta"}))
    monkeypatch.setattr(torch.nn.Module, "to", lambda *_, **__: None)
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda self, state_dict, strict=True: None)
    np.testing.assert_allclose(clip.load(path).cosines(images, TEXTS)[0], expected, atol=2e-3)


def test_a_file_that_lacks_a_part_or_has_it_in_another_shape_is_named(reference: CLIPModel, tmp_path: Path) -> None:
    path, name = written(reference, "transformers", tmp_path), "text_model.final_layer_norm.weight"
    for changed in ({name: torch.ones(3)}, {}):
        tensors = {key: one for key, one in plain_tensors(reference).items() if key != name}
        save_file({**tensors, **changed}, path)
        with pytest.raises(WeightsCorrupt, match=rf"lacks a part \({name}"):
            clip.load(path)


def test_the_name_tells_files_apart(reference: CLIPModel, tmp_path: Path) -> None:
    path = written(reference, "transformers", tmp_path)
    first = clip.load(path).name
    os.utime(path, ns=(1, 1))
    assert first.startswith("model.safetensors:") and clip.load(path).name != first


def test_a_score_is_two_and_a_half_cosines_and_never_outside_0_to_1(
    reference: CLIPModel, images: list[np.ndarray], expected: np.ndarray, tmp_path: Path
) -> None:
    found = clip.load(written(reference, "transformers", tmp_path))(images, TEXTS)
    np.testing.assert_allclose([score for score, _ in found], np.clip(2.5 * expected, 0, 1), atol=6e-3)


def test_the_prompt_language_is_taken_out_before_clip_reads_it() -> None:
    assert clip.plain("a (red:1.2) coat, [blue] <lora:anna:1> \\(x\\)") == "a red coat, blue (x)"
    assert clip.plain("<lora:anna:1>") == "a picture"


def test_a_checkpoint_of_the_text_half_alone_is_no_clip_for_pictures(tmp_path: Path) -> None:
    save_file({"text_model.final_layer_norm.weight": torch.ones(2**19)}, tmp_path / "text.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"x" * 2**21)
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04" + b"x" * 2**21)
    assert clip_files.find((tmp_path,)) is None


def test_nothing_in_a_scripted_file_is_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "ViT-B-32.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", pickle.dumps(Evil()))
        archive.writestr("x/code/model.py", "")
    assert is_scripted(path)
    with pytest.raises(WeightsCorrupt, match="wants to run"):
        read_scripted(path)
    assert not (tmp_path / "ran").exists()
    path.write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(WeightsCorrupt):
        read_scripted(path)
