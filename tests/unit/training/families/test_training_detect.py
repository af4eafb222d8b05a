from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ldm_layout import STANDARD, STANDARD_SD2, STANDARD_SDXL, Shapes, Size, header_only, shapes_of
from miniatures import MINIATURE, make
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported
from personal_avatar.training.families import registry
from personal_avatar.training.families.detect import detect, prediction
from personal_avatar.training.families.files import not_floating, read_shapes

UNET = "model.diffusion_model.input_blocks.0.0.weight"


def headed(path: Path, shapes: Shapes) -> BaseModelFile:
    """A file whose header is true and whose weights are missing: nothing that only detects may look at them."""
    return BaseModelFile(header_only(path, shapes), path.stem, Family.SD1)


@pytest.mark.parametrize(("size", "family"), [
    (STANDARD, Family.SD1), (STANDARD_SD2, Family.SD2), (STANDARD_SDXL, Family.SDXL),
    (replace(STANDARD_SDXL, channels=9), Family.SDXL),
])
def test_the_header_alone_tells_the_family(size: Size, family: Family, tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", shapes_of(size))
    assert registry.supported(base) is family


@pytest.mark.parametrize(("shapes", "word"), [
    ({"double_blocks.0.x": (1,)}, "Flux"),
    ({"single_transformer_blocks.0.x": (1,)}, "Flux"),
    ({"transformer_blocks.0.x": (1,), "pos_embed.x": (1,)}, "a transformer"),
    ({"model_ema.x": (1,), "first_stage_model.decoder.conv_in.weight": (1,)}, "averaged weights alone"),
    ({"module.model.diffusion_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, r"under other names \(module\.\.\.\.\)"),
    ({"lora_unet_x.lora_up.weight": (1, 1)}, "LoRA"),
    ({"lora_unet_down_blocks_0.hada_w1_a": (1, 1)}, "LoRA"),
    ({"lora_unet_down_blocks_0.lokr_w1": (1, 1)}, "LoRA"),
    ({"lora_unet_down_blocks_0.oft_blocks": (1, 1, 1)}, "LoRA"),
    ({"down_blocks.0.attn1.processor.to_q_lora.up.weight": (1, 1)}, "LoRA"),
    ({"unet.down_blocks.0.attn1.to_q.lora.up.weight": (1, 1)}, "LoRA"),
    ({"text_model.encoder.layers.0.x": (1,)}, "a text encoder"),
    ({"down_blocks.0.x": (1,)}, "diffusers layout"),
    ({"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": (1,)}, "a motion module of AnimateDiff"),
    ({"down_blocks.0.motion_modules.0.temporal_transformer.to_q_lora.up.weight": (1,)}, "a LoRA"),
    ({UNET: (320, 8, 3, 3), "model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.bias": (1,)},
     "is Stable Video Diffusion"),
    ({"down_blocks.0.attentions.0.temporal_transformer_blocks.0.ff.net.2.bias": (1,)}, "is Stable Video Diffusion"),
    ({UNET: (320, 8, 3, 3)}, "InstructPix2Pix"),
    ({UNET: (320, 5, 3, 3)}, "depth model"),
    ({UNET: (320, 4, 3, 3), "conditioner.embedders.0.model.x": (1,)}, "refiner"),
    ({UNET: (320, 4, 3, 3), "model.diffusion_model.label_emb.0.0.weight": (1,), "embedder.x": (1,)}, "unCLIP"),
    ({"first_stage_model.decoder.conv_in.weight": (1,)}, "a VAE"),
    ({"emb_params": (1, 768)}, "an embedding"),
    ({"clip_g": (1, 1280), "clip_l": (1, 768)}, "an embedding"),
    ({"model.diffusion_model.joint_blocks.0.x": (1,)}, "Stable Diffusion 3"),
    ({UNET: (320, 4, 3, 3)}, "no text encoder"),
    ({"lora_unet_x.on_input": (1,)}, "a LoRA"),
    ({"ip_adapter.1.to_k_ip.weight": (1, 1)}, "an IP-Adapter"),
    ({"input_blocks.0.0.weight": (320, 4, 3, 3)}, "a UNet alone"),
    ({UNET: (320, 4, 3, 3), "model.diffusion_model.label_emb.0.0.weight": (1,)}, "is a UNet alone: .* no VAE"),
    ({UNET: (320, 4, 3, 3), "model.diffusion_model.label_emb.0.0.weight": (1,),
      "conditioner.embedders.0.transformer.x": (1,)}, "lacks a text encoder of SDXL"),
    ({UNET: (320, 4, 3, 3), "first_stage_model.decoder.conv_in.weight": (1,)}, "has no text encoder in it"),
    ({"control_model.zero_convs.0.0.weight": (1,)}, "a ControlNet"),
    ({"controlnet_cond_embedding.conv_in.weight": (1,), "down_blocks.0.x": (1,)}, "a ControlNet"),
    ({UNET: ()}, "an odd first layer"),
    ({UNET: (4,)}, "an odd first layer"),
    ({}, "unknown kind"),
])
def test_what_cannot_be_trained_is_named(shapes: dict[str, tuple[int, ...]], word: str) -> None:
    with pytest.raises(BaseUnsupported, match=word):
        detect(shapes)


@pytest.mark.parametrize("size", [STANDARD, STANDARD_SD2, STANDARD_SDXL])
def test_parts_of_a_checkpoint_are_named_as_what_they_are(size: Size) -> None:
    prefix = "model.diffusion_model."
    unet = {name: shape for name, shape in shapes_of(size).items() if name.startswith(prefix)}
    bare = {name.removeprefix(prefix): shape for name, shape in unet.items()}
    control = {name: shape for name, shape in bare.items() if name.startswith(("input_blocks.", "middle_block."))}
    for shapes, word in (
        (unet, "a UNet alone: it has no text encoder and no VAE"), (bare, "a UNet alone"),
        ({**control, "zero_convs.0.0.weight": (1,)}, "a ControlNet"),
        ({**control, "input_hint_block.0.weight": (1,)}, "a ControlNet"),
    ):
        with pytest.raises(BaseUnsupported, match=f"part is {word}"):
            detect(shapes, "part")


@pytest.mark.parametrize(("marks", "word"), [
    (("edm_mean", "edm_std"), r"Playground v2\.5"), (("edm_vpred.sigma_max", "edm_vpred.sigma_min"), "CosXL"),
])
def test_a_checkpoint_of_another_noise_is_refused_by_its_name(marks: tuple[str, ...], word: str) -> None:
    with pytest.raises(BaseUnsupported, match=rf"odd is {word} .*\(EDM\).*Choose Stable Diffusion XL 1\.0"):
        detect({**shapes_of(STANDARD_SDXL), **dict.fromkeys(marks, (1,))}, "odd")


V_YAML = {"parameterization": "v"}
XL_V_YAML = {"denoiser_config": {"params": {"scaling_config": {"target": "sgm.denoiser_scaling.VScaling"}}}}


@pytest.mark.parametrize(("size", "marks", "params", "expected"), [
    (STANDARD, (), None, ("epsilon", False)),
    (STANDARD, (), V_YAML, ("v_prediction", False)),
    (STANDARD_SD2, (), None, ("", False)),
    (STANDARD_SD2, (), {"parameterization": "eps"}, ("epsilon", False)),
    (STANDARD_SD2, (), {"scale_factor": 0.18215}, ("epsilon", False)),
    (STANDARD_SD2, (), V_YAML, ("v_prediction", False)),
    (STANDARD_SDXL, (), None, ("epsilon", False)),
    (STANDARD_SDXL, (), XL_V_YAML, ("v_prediction", False)),
    (STANDARD_SDXL, ("v_pred",), {"scale_factor": 0.13025}, ("v_prediction", False)),
    (STANDARD_SDXL, ("v_pred", "ztsnr"), None, ("v_prediction", True)),
])
def test_keys_then_the_yaml_then_the_family_tell_what_is_predicted(
    size: Size, marks: tuple[str, ...], params: dict[str, object] | None, expected: tuple[str, bool]
) -> None:
    assert prediction({**shapes_of(size), **dict.fromkeys(marks, (0,))}, params) == expected


@pytest.mark.parametrize(("shapes", "params", "loaded_as", "expected"), [
    ({}, None, "v", "v_prediction"),  # a .ckpt in memory, whose file is not unpickled again
    ({}, None, "eps", "epsilon"),
    (shapes_of(STANDARD_SD2), None, "v", "v_prediction"),
    ({"v_pred": (0,)}, None, "eps", "v_prediction"),
    ({}, V_YAML, "v", "v_prediction"),
])
def test_a_network_in_memory_tells_what_it_predicts(
    shapes: Shapes, params: dict[str, object] | None, loaded_as: str, expected: str
) -> None:
    assert prediction(shapes, params, loaded_as) == (expected, False)


@pytest.mark.parametrize(("size", "marks", "params", "known", "now"), [
    (STANDARD, (), V_YAML, ("epsilon", False), ("v_prediction", False)),
    (STANDARD, (), None, ("v_prediction", True), ("epsilon", False)),
    (STANDARD_SDXL, ("v_pred", "ztsnr"), None, ("epsilon", False), ("v_prediction", True)),
    (STANDARD_SD2, (), {"parameterization": "eps"}, ("v_prediction", False), ("epsilon", False)),
    (STANDARD_SD2, (), None, ("v_prediction", False), ("v_prediction", False)),  # the host asked the network itself
    (STANDARD_SDXL, ("v_pred",), None, ("v_prediction", True), ("v_prediction", True)),  # its setting
    (STANDARD_SDXL, ("v_pred", "ztsnr"), None, ("v_prediction", False), ("v_prediction", True)),
    (STANDARD_SD2, ("ztsnr",), None, ("v_prediction", False), ("v_prediction", True)),
])
def test_a_file_that_was_replaced_is_used_as_it_is_now(
    size: Size, marks: tuple[str, ...], params: dict[str, object] | None, known: tuple[str, bool],
    now: tuple[str, bool], tmp_path: Path,
) -> None:
    base = headed(tmp_path / "a.safetensors", {**shapes_of(size), **dict.fromkeys(marks, (0,))})
    if params:
        base.path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": params}}))
    base = replace(base, family=registry.supported(base), prediction=known[0], zero_terminal_snr=known[1])
    assert registry.as_found(base) == replace(base, prediction=now[0], zero_terminal_snr=now[1])


def test_a_file_that_was_replaced_by_one_of_another_family_is_refused_by_name(tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", shapes_of(STANDARD_SDXL))
    with pytest.raises(BaseUnsupported, match=r"a\.safetensors was replaced: .* Diffusion 1\.x .* XL one now"):
        registry.as_found(base)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    base.path.write_bytes(base.path.read_bytes()[:-100])
    with pytest.raises(BaseUnsupported, match="its end is missing"):
        read_shapes(base.path)


def test_a_ckpt_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True, suffix=".ckpt")
    base.path.write_bytes(base.path.read_bytes()[:-100])
    with pytest.raises(BaseUnsupported, match=r"cannot be read as plain tensors \(its end is missing\)\. Download it"):
        read_shapes(base.path)


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
@pytest.mark.parametrize(("content", "what"), [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a git-lfs pointer"),
    (b"\n<!DOCTYPE html><html><title>Log in</title>", "a web page"),
    (b"", "empty"),
    (b'{"error": "Unauthorized",\n"message": "Log in first"}', r"a text that begins with '{\"error\": \"Unauth"),
    ("Zugriff verweigert: bitte anmelden ü".encode() * 20, "a text that begins with 'Zugriff"),
])
def test_what_came_in_the_place_of_a_checkpoint_is_named(
    content: bytes, what: str, suffix: str, tmp_path: Path
) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(BaseUnsupported, match=f"it is {what}.*Download it again"):
        read_shapes(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".gguf", ".json"])
@pytest.mark.parametrize(("content", "what"), [
    (b"GGUF\x03" + bytes(200), "is a GGUF file, whose weights are quantised.*a .safetensors file of 16 bits"),
    (b'{"metadata": {"total_size": 9},\n"weight_map": {"a": "b"}}', "the index of a model in several files.*one"),
    (b'{"_class_name": "StableDiffusionPipeline"}', "index of a model in diffusers layout.*convert it to one"),
])
def test_a_model_in_another_kind_of_file_is_named(content: bytes, what: str, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(BaseUnsupported, match=what):
        read_shapes(tmp_path / f"a{suffix}")


def test_an_index_is_told_by_its_name_too(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors.index.json").write_text("{}")
    with pytest.raises(BaseUnsupported, match="the index of a model in several files"):
        read_shapes(tmp_path / "a.safetensors.index.json")


def test_a_folder_of_diffusers_is_named(tmp_path: Path) -> None:
    (tmp_path / "pony").mkdir()
    with pytest.raises(BaseNotFound):
        read_shapes(tmp_path / "pony")
    (tmp_path / "pony" / "model_index.json").write_text("{}")
    with pytest.raises(BaseUnsupported, match=r"pony is a folder in diffusers layout.*convert the folder"):
        read_shapes(tmp_path / "pony")


@pytest.mark.parametrize("read", [read_shapes, not_floating])
@pytest.mark.parametrize("name", [
    "pytorch_model-00001-of-00002.bin", "diffusion_pytorch_model-00001-of-00002.safetensors", "a-00001-OF-00002.ckpt",
])
def test_a_part_of_a_model_is_named(name: str, read: Callable[[Path], object], tmp_path: Path) -> None:
    """Whatever is in it."""
    with pytest.raises(BaseNotFound):
        read(tmp_path / name)
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(BaseUnsupported, match=r"00002\.\w+ is part 1 of 2 of a model.*convert the parts to one"):
        read(tmp_path / name)


def test_a_model_in_one_part_is_a_checkpoint(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True, name="model-00001-of-00001")
    assert registry.supported(base) is Family.SD1


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(BaseNotFound):
        read_shapes(tmp_path / "nowhere.safetensors")


def test_a_header_that_is_shorter_than_it_says_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 100) + b"{}")
    with pytest.raises(BaseUnsupported, match="its end is missing"):
        read_shapes(tmp_path / "a.safetensors")


def test_a_file_in_capitals_is_read_as_any_other(tmp_path: Path) -> None:
    base = make(Family.SD1, tmp_path, half=True)
    loud = base.path.rename(tmp_path / "LOUD.SAFETENSORS")
    assert registry.supported(replace(base, path=loud)) is Family.SD1


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "a.safetensors"
    path.write_bytes(data)
    try:
        read_shapes(path)
    except BaseUnsupported as error:
        assert "safetensors" in error.message


def test_a_plain_ckpt_has_the_same_shapes(tmp_path: Path) -> None:
    import torch

    shapes = {name: shape for name, shape in shapes_of(MINIATURE).items() if len(shape) == 1}
    torch.save({"state_dict": {name: torch.zeros(shape) for name, shape in shapes.items()}}, tmp_path / "a.ckpt")
    assert read_shapes(tmp_path / "a.ckpt") == shapes
