"""A checkpoint that cannot be trained is refused by the header of its file, before any work begins."""
from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from ldm_layout import STANDARD, STANDARD_SD2, STANDARD_SDXL, Shapes, Size, header_only, shapes_of
from miniatures import MINIATURE
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported, VaeNotFound
from personal_avatar.training.families.detect import prediction
from personal_avatar.training.families.sidecar import encoder_params, side_px
from personal_avatar.training.planning.fitness import refuse_unfit

BYTES = {"F16": 2, "BF16": 2, "F8_E4M3": 1, "I8": 1, "U8": 1, "BOOL": 1, "I32": 4, "I64": 8}
UNET, VAE = "model.diffusion_model.", "first_stage_model."


COUNTED = {  # in a checkpoint that was not pruned
    "cond_stage_model.transformer.text_model.embeddings.position_ids": "I64", "model_ema.num_updates": "I32",
    "first_stage_model.loss.discriminator.main.3.num_batches_tracked": "I64",
    "model.diffusion_model.some_mask": "BOOL", "betas_of_somebody.weight": "I64",
}
OPEN_CLIP = "cond_stage_model.model.transformer.resblocks.0."


def stored_as(path: Path, formats: dict[str, str], size: Size = STANDARD) -> BaseModelFile:
    """A checkpoint whose tensors of those names are stored in other number formats; names that it lacks are added."""
    shapes = shapes_of(size) | {name: (1,) for name in formats if name not in shapes_of(size)}
    header_only(path, shapes)
    with path.open("rb") as file:
        entries = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    end = 0
    for name, entry in entries.items():
        entry["dtype"] = formats.get(name, "F16")
        start, end = end, end + BYTES[entry["dtype"]] * math.prod(entry["shape"])
        entry["data_offsets"] = [start, end]
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + end)
    return BaseModelFile(path, path.stem, Family.SD1)


def headed(path: Path, shapes: Shapes) -> BaseModelFile:
    return BaseModelFile(header_only(path, shapes), path.stem, Family.SD1)


def without(prefix: str, size: Size = STANDARD) -> Shapes:
    return {name: shape for name, shape in shapes_of(size).items() if not name.startswith(prefix)}


@pytest.mark.parametrize("size", [STANDARD, STANDARD_SD2, STANDARD_SDXL, replace(STANDARD, channels=9)])
def test_checkpoints_of_every_family_are_fit(size: Size, tmp_path: Path) -> None:
    refuse_unfit(headed(tmp_path / "a.safetensors", shapes_of(size)))


@pytest.mark.parametrize(("shapes", "word"), [
    (without(VAE), r"a\.safetensors has no VAE"),
    (without(UNET + "out.2.weight"), rf"layout of Stable Diffusion 1\.x: it lacks {UNET}out\.2\.weight"),
    (without(UNET + "middle_block.1."), r"unusual UNet \(its middle has no attention"),
    (without(UNET + "input_blocks.5."), r"unusual UNet \(two residual blocks"),
    ({name: one for name, one in shapes_of(STANDARD).items() if "attn2" not in name}, r"UNet \(nothing in it reads"),
    (without(UNET + "label_emb.0.0.weight", STANDARD_SDXL), "it lacks .*label_emb"),
    (shapes_of(MINIATURE), "unusual size and has no configuration"),
    ({"lora_unet_x.lora_up.weight": (1, 1)}, "a LoRA"),
    ({**shapes_of(STANDARD), UNET + "input_blocks.x.0.weight": (1,)}, "layout of Stable Diffusion 1"),
    ({**shapes_of(STANDARD), UNET + "middle_block.1.proj_in.weight": ()}, r"proj_in\.weight is a single"),
    ({**shapes_of(STANDARD), VAE + "encoder.down.y.weight": (1,)}, "layout of Stable Diffusion 1"),
])
def test_unfit_checkpoints_are_refused_with_what_is_wrong(shapes: Shapes, word: str, tmp_path: Path) -> None:
    with pytest.raises(BaseUnsupported, match=word):
        refuse_unfit(headed(tmp_path / "a.safetensors", shapes))


@pytest.mark.parametrize("name", [
    "input_blocks.0.0.weight", "input_blocks.3.0.op.weight", "middle_block.1.proj_in.weight",
])
def test_a_single_tensor_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(BaseUnsupported, match=f"it lacks {UNET}{name}"):
        refuse_unfit(headed(tmp_path / "a.safetensors", without(UNET + name)))


def test_the_yaml_beside_it_tells_an_unusual_size(tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", shapes_of(MINIATURE))
    parts = {"unet_config": {"params": {"num_heads": 2}}}
    base.path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": parts}}))
    refuse_unfit(base)


def configured(path: Path, size: Size, place: str, context_dim: object, **more: object) -> BaseModelFile:
    """A checkpoint with a yaml beside it that says how wide what the cross-attentions read is."""
    base = headed(path, shapes_of(size))
    parts = {place: {"params": {"context_dim": context_dim}}}
    base.path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": parts | more}}))
    return base


@pytest.mark.parametrize(("size", "place", "context_dim", "told"), [
    (STANDARD, "network_config", 2048, "Stable Diffusion XL, but a.safetensors is Stable Diffusion 1.x"),
    (STANDARD, "unet_config", 1024, "Stable Diffusion 2.x, but a.safetensors is Stable Diffusion 1.x"),
    (STANDARD_SD2, "unet_config", 768, "Stable Diffusion 1.x, but a.safetensors is Stable Diffusion 2.x"),
    (STANDARD_SDXL, "unet_config", 768, "Stable Diffusion 1.x, but a.safetensors is Stable Diffusion XL"),
    (STANDARD_SDXL, "network_config", [1280] * 4, "another model, but a.safetensors is Stable Diffusion XL"),
    (STANDARD, "unet_config", 64, "another model, but a.safetensors is Stable Diffusion 1.x"),
])
def test_a_yaml_of_another_model_is_refused_by_its_name(
    size: Size, place: str, context_dim: object, told: str, tmp_path: Path
) -> None:
    base = configured(tmp_path / "a.safetensors", size, place, context_dim)
    with pytest.raises(BaseUnsupported) as refused:
        refuse_unfit(base)
    assert f"a.yaml is the configuration of {told}" in refused.value.message
    assert "Remove a.yaml" in refused.value.hint


@pytest.mark.parametrize(("size", "place", "context_dim", "more"), [
    (STANDARD, "unet_config", 768, {"conditioning_key": "crossattn"}),
    (STANDARD_SD2, "unet_config", 1024, {"parameterization": "v"}),
    (STANDARD_SDXL, "network_config", 2048, {}),
    (STANDARD_SDXL, "network_config", [2048, 2048, 2048], {}),
    (replace(STANDARD, channels=9), "unet_config", 768, {"conditioning_key": "hybrid"}),
    (replace(STANDARD_SDXL, channels=9), "network_config", 2048, {}),
    (STANDARD, "unet_config", "wide", {}), (STANDARD, "unet_config", [], {}), (STANDARD, "unet_config", None, {}),
    (STANDARD, "unet_config", {"a": 1}, {}), (STANDARD, "unet_config", [768, 1280], {}),
])
def test_a_yaml_of_its_own_kind_or_without_a_width_is_fit(
    size: Size, place: str, context_dim: object, more: dict[str, object], tmp_path: Path
) -> None:
    refuse_unfit(configured(tmp_path / "a.safetensors", size, place, context_dim, **more))


@pytest.mark.parametrize("params", [
    {"unet_config": "x"}, {"unet_config": {"params": 5}}, {"cond_stage_config": [1]}, {"network_config": 1},
    {"conditioner_config": {"params": {"emb_models": ["x"]}}}, {"scale_factor": "much"},
    {"denoiser_config": "x"}, {"denoiser_config": {"params": {"scaling_config": 7}}},
])
def test_a_yaml_of_nonsense_is_passed_over_or_named(params: dict[str, object], tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", shapes_of(STANDARD))
    base.path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": params}}))
    assert prediction(shapes_of(STANDARD), params) == ("epsilon", False)
    assert encoder_params(params, 0) == {}
    try:
        refuse_unfit(base)
    except BaseUnsupported as error:
        assert "a.safetensors" in error.message


def test_the_vae_that_was_chosen_counts(tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", without(VAE))
    alone = {name.removeprefix(VAE): shape for name, shape in shapes_of(STANDARD).items() if name.startswith(VAE)}
    headed(tmp_path / "vae.safetensors", alone)
    refuse_unfit(replace(base, vae=tmp_path / "vae.safetensors"))
    with pytest.raises(BaseUnsupported, match=r"a\.safetensors is not a VAE"):
        refuse_unfit(replace(base, vae=base.path))
    with pytest.raises(BaseNotFound):
        refuse_unfit(replace(base, vae=tmp_path / "gone.safetensors"))
    with pytest.raises(VaeNotFound, match=r"There is no VAE at .*mine\.vae\.pt") as told:
        refuse_unfit(replace(base, vae=tmp_path / "mine.vae.pt"))
    assert "SD VAE" in told.value.hint


@pytest.mark.parametrize(("name", "stored", "size"), [
    (UNET + "middle_block.1.proj_in.weight", "I8", STANDARD), (UNET + "out.2.bias", "I8", STANDARD_SDXL),
    (UNET + "middle_block.1.proj_in.weight", "U8", STANDARD_SD2), (VAE + "decoder.conv_out.weight", "I8", STANDARD),
    (OPEN_CLIP + "attn.in_proj_weight", "I8", STANDARD_SD2),
    ("conditioner.embedders.1.model.text_projection", "I8", STANDARD_SDXL),
    (UNET + "middle_block.1.proj_in.scale_weight", "F16", STANDARD),
])
def test_quantised_weights_are_refused_by_their_name(name: str, stored: str, size: Size, tmp_path: Path) -> None:
    base = stored_as(tmp_path / "a.safetensors", {name: stored}, size)
    with pytest.raises(BaseUnsupported, match=rf"a\.safetensors is quantised: {name} is .*\(fp16\)"):
        refuse_unfit(base)


def test_whole_numbers_that_are_no_weights_and_floats_of_any_length_are_fit(tmp_path: Path) -> None:
    shorter = {UNET + "out.2.weight": "F8_E4M3", VAE + "decoder.conv_out.weight": "BF16"}
    refuse_unfit(stored_as(tmp_path / "a.safetensors", COUNTED | shorter))


def test_a_pickled_checkpoint_of_whole_numbers_is_refused_too(tmp_path: Path) -> None:
    weights = {name: torch.zeros(1).half().expand(shape) for name, shape in shapes_of(MINIATURE).items()}
    path, parts = tmp_path / "a.ckpt", {"unet_config": {"params": {"num_heads": 2}}}
    path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": parts}}))
    base = BaseModelFile(path, "a", Family.SD1)
    counted = {"global_step": torch.tensor(3), UNET + "position_ids": torch.arange(3)}
    torch.save({"state_dict": weights | counted}, path)
    refuse_unfit(base)
    name = UNET + "out.2.weight"
    torch.save({"state_dict": weights | {name: weights[name].to(torch.int8)}}, path)
    with pytest.raises(BaseUnsupported, match=rf"a\.ckpt is quantised: {name} is I8"):
        refuse_unfit(base)


def test_a_vae_beside_it_that_is_quantised_is_refused_by_its_name(tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", shapes_of(STANDARD))
    vae = stored_as(tmp_path / "vae.safetensors", {VAE + "decoder.conv_out.weight": "I8"}).path
    with pytest.raises(BaseUnsupported, match=r"vae\.safetensors is quantised"):
        refuse_unfit(replace(base, vae=vae))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_tensor_whose_bytes_do_not_fit_its_shape_is_refused_by_its_name(change: int, tmp_path: Path) -> None:
    base = headed(tmp_path / "a.safetensors", shapes_of(MINIATURE))
    data = base.path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header[UNET + "out.2.bias"]["shape"][0] += change
    written = json.dumps(header).encode()
    base.path.write_bytes(len(written).to_bytes(8, "little") + written + data[8 + length :])
    with pytest.raises(BaseUnsupported, match=rf"the bytes of {UNET}out\.2\.bias do not fit its shape"):
        refuse_unfit(base)


@pytest.mark.parametrize(("said", "side"), [
    (64, 512), (24, 192), (128, 1024), (-64, 0), (0, 0), (10**9, 0), (True, 0), (64.0, 0), ("64", 0), (None, 0),
])
def test_only_a_side_that_a_picture_can_have_is_believed(said: object, side: int) -> None:
    assert side_px({"image_size": said}) == side
