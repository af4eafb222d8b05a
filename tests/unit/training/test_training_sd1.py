from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from ldm_layout import MINIATURE, NUM_HEADS, STANDARD, shapes_of, write_checkpoint
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training import compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.detect import read_shapes
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.families.sd1_config import derive

STANDARD_BASE = BaseModelFile(Path("nowhere/v1-5.safetensors"), "v1-5", Family.SD1)


def test_standard_shapes_give_the_known_configuration() -> None:
    """Values of runwayml/stable-diffusion-v1-5: unet/config.json, vae/config.json, text_encoder/config.json."""
    config = derive(shapes_of(STANDARD), STANDARD_BASE)
    assert config.unet["block_out_channels"] == (320, 640, 1280, 1280)
    assert config.unet["down_block_types"] == ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
    assert config.unet["up_block_types"] == ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3
    assert (config.unet["attention_head_dim"], config.unet["cross_attention_dim"]) == (8, 768)
    assert config.vae["block_out_channels"] == (128, 256, 512, 512)
    assert (config.vae["layers_per_block"], config.vae["scaling_factor"]) == (2, 0.18215)
    assert (config.text["num_hidden_layers"], config.text["num_attention_heads"]) == (12, 12)
    assert (config.text["intermediate_size"], config.text["hidden_act"]) == (3072, "quick_gelu")


def test_standard_shapes_fit_the_modules_that_are_built_of_them() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    config = derive(shapes_of(STANDARD), STANDARD_BASE)
    with torch.device("meta"):
        built = [UNet2DConditionModel(**config.unet), AutoencoderKL(**config.vae)]
    counted = [sum(weight.numel() for weight in module.parameters()) for module in built]
    assert counted == [859_520_964, 83_653_863]


def test_the_shipped_checkpoint_gives_its_shipped_configuration(tiny: BaseModelFile) -> None:
    config, folder = derive(read_shapes(tiny.path), tiny), tiny.path.parent / "diffusers"
    for part, derived in (("unet", config.unet), ("vae", config.vae), ("text_encoder", config.text)):
        written = json.loads((folder / part / "config.json").read_text())
        shared = {name: value for name, value in written.items() if name in derived and name != "sample_size"}
        assert {name: _plain(derived[name]) for name in shared} == shared


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_an_unusual_size_without_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseUnsupported, match="yaml"):
        derive(shapes_of(MINIATURE), replace(STANDARD_BASE, path=tmp_path / "small.safetensors"))


def test_a_broken_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("model: [")
    with pytest.raises(BaseUnsupported, match=r"small\.yaml"):
        derive(shapes_of(MINIATURE), replace(STANDARD_BASE, path=tmp_path / "small.safetensors"))


@pytest.mark.parametrize(("part", "word"), [("first_stage_model", "VAE"), ("encoder.layers.0.mlp", "text encoder")])
def test_a_checkpoint_with_a_part_missing_is_refused(part: str, word: str) -> None:
    shapes = {name: shape for name, shape in shapes_of(STANDARD).items() if part not in name}
    with pytest.raises(BaseUnsupported, match=word):
        derive(shapes, STANDARD_BASE)


def test_a_wrong_tensor_is_an_error_with_a_name(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    base = write_checkpoint(tmp_path)
    weights = load_file(base.path)
    del weights["model.diffusion_model.out.2.weight"]
    save_file(weights, base.path)
    with pytest.raises(BaseUnsupported, match="layout of Stable Diffusion 1"):
        registry.load(base, compute.choose("fp32"), 64)


def test_old_text_encoder_names_are_read(tmp_path: Path, load_miniature: Callable[[], DiffusionModel]) -> None:
    from safetensors.torch import load_file, save_file

    base = write_checkpoint(tmp_path)
    weights = {name.replace("transformer.text_model.", "transformer."): w for name, w in load_file(base.path).items()}
    weights["cond_stage_model.transformer.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(weights, base.path)
    old, new = registry.load(base, compute.choose("fp32"), 64), load_miniature()
    assert torch.equal(old.encode_text(["a man"])["states"], new.encode_text(["a man"])["states"])


def test_a_ckpt_gives_the_same_model(tmp_path: Path, load_miniature: Callable[[], DiffusionModel]) -> None:
    from safetensors.torch import load_file

    base = write_checkpoint(tmp_path)
    torch.save({"state_dict": load_file(base.path)}, base.path.with_suffix(".ckpt"))
    model = registry.load(replace(base, path=base.path.with_suffix(".ckpt")), compute.choose("fp32"), 64)
    assert torch.equal(_answer(model), _answer(load_miniature()))


def _answer(model: DiffusionModel) -> torch.Tensor:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.predict(noisy, torch.tensor([500]), model.encode_text(["a man"]))


def test_a_model_is_frozen_and_has_the_heads_of_its_yaml(load_miniature: Callable[[], DiffusionModel]) -> None:
    model = load_miniature()
    modules = [model.vae, *model.modules().values()]
    assert not any(weight.requires_grad for module in modules for weight in module.parameters())
    assert model.unet.config.attention_head_dim == NUM_HEADS


def test_pictures_survive_the_vae_of_the_shipped_checkpoint(tiny: BaseModelFile) -> None:
    from personal_avatar.training.cache import load_image

    picture = load_image(tiny.path.parent.parent / "samples" / "01.jpg", 128)
    model = registry.load(tiny, compute.choose("fp32"), 128)
    mean, std = model.encode_images(picture[None])
    back = model.decode(mean)[0].astype(float)
    assert (mean.shape, mean.dtype, std.shape) == ((1, 4, 16, 16), torch.float32, mean.shape)
    assert np.sqrt(np.mean((back - picture) ** 2)) < 25
