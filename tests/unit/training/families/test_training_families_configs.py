"""Configurations derived from the shapes of the standard checkpoints, against the published ones."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ldm_layout import STANDARD, STANDARD_SD2, STANDARD_SDXL, shapes_of
from miniatures import MINIATURE
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.shipped import TOKENIZER
from personal_avatar.training.families.detect import CLIP_L, OPEN_CLIP, VAE, XL_CLIP_L, XL_OPEN_CLIP
from personal_avatar.training.families.files import read_shapes
from personal_avatar.training.families.sidecar import encoder_folder, read_params
from personal_avatar.training.families.stored import name_of, take, unet_places
from personal_avatar.training.families.text import clip_encoder, open_clip_encoder
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.families.vae_config import vae_config

SIZES = {Family.SD1: STANDARD, Family.SD2: STANDARD_SD2, Family.SDXL: STANDARD_SDXL}


def base_of(family: Family, path: Path = Path("nowhere/x.safetensors")) -> BaseModelFile:
    return BaseModelFile(path, path.stem, family)


def unet(family: Family) -> dict[str, Any]:
    return unet_config(shapes_of(SIZES[family]), {}, base_of(family))


@pytest.mark.parametrize(("family", "expected"), [
    (Family.SD1, {"attention_head_dim": 8, "cross_attention_dim": 768, "use_linear_projection": False,
                  "block_out_channels": (320, 640, 1280, 1280), "transformer_layers_per_block": (1, 1, 1, 1)}),
    (Family.SD2, {"attention_head_dim": (5, 10, 20, 20), "cross_attention_dim": 1024, "use_linear_projection": True}),
    (Family.SDXL, {"attention_head_dim": (5, 10, 20), "cross_attention_dim": 2048, "use_linear_projection": True,
                   "transformer_layers_per_block": (1, 2, 10), "addition_time_embed_dim": 256,
                   "projection_class_embeddings_input_dim": 2816, "addition_embed_type": "text_time"}),
])
def test_standard_shapes_give_the_known_configuration(family: Family, expected: dict[str, Any]) -> None:
    """unet/config.json of runwayml/stable-diffusion-v1-5, stabilityai/stable-diffusion-2-1 and -xl-base-1.0."""
    found = unet(family)
    assert {name: found[name] for name in expected} == expected
    first = found["down_block_types"][0]
    assert first == ("DownBlock2D" if family is Family.SDXL else "CrossAttnDownBlock2D")


@pytest.mark.parametrize(("family", "count"), [
    (Family.SD1, 859_520_964), (Family.SD2, 865_910_724), (Family.SDXL, 2_567_463_684),
])
def test_standard_shapes_make_networks_of_the_known_size(family: Family, count: int) -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    with torch.device("meta"):
        network = UNet2DConditionModel(**unet(family))
        vae = AutoencoderKL(**vae_config(shapes_of(SIZES[family]), {}, base_of(family)))
    assert sum(weight.numel() for weight in network.parameters()) == count
    assert sum(weight.numel() for weight in vae.parameters()) == 83_653_863


@pytest.mark.parametrize("family", list(Family))
def test_every_tensor_of_a_standard_checkpoint_has_its_place(family: Family) -> None:
    """No tensor of the file is unused but those of layers that are never asked, none of a module is left empty."""
    from diffusers import UNet2DConditionModel

    shapes, base, config = shapes_of(SIZES[family]), base_of(family), unet(family)
    encoders = {
        Family.SD1: lambda: [clip_encoder(shapes, CLIP_L, None, base)],
        Family.SD2: lambda: [open_clip_encoder(shapes, OPEN_CLIP, base, drop=1, projected=False)],
        Family.SDXL: lambda: [
            clip_encoder(shapes, XL_CLIP_L, None, base),
            open_clip_encoder(shapes, XL_OPEN_CLIP, base, drop=0, projected=True),
        ],
    }[family]()
    with torch.device("meta"):
        built = [(UNet2DConditionModel(**config), unet_places(shapes, config))]
        built += [(module, one.places(module)) for one in encoders for module in [one.build()]]
    file = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    for module, places in built:
        wanted = {name: weight.shape for name, weight in module.named_parameters()}
        assert {name: take(file, place).shape for name, place in places.items()} == wanted
    used = {name_of(place) for _, places in built for place in places.values()}
    left = {name for name in shapes if name not in used and not name.startswith(VAE)}
    assert all(any(part in name for part in ("logit_scale", "text_projection", "resblocks.23.")) for name in left)


@pytest.mark.parametrize(("family", "factor"), [(Family.SD1, 0.18215), (Family.SD2, 0.18215), (Family.SDXL, 0.13025)])
def test_latents_are_scaled_as_the_family_does_it(family: Family, factor: float) -> None:
    shapes = shapes_of(SIZES[family])
    assert vae_config(shapes, {}, base_of(family))["scaling_factor"] == factor
    assert vae_config(shapes, {"scale_factor": 0.5}, base_of(family))["scaling_factor"] == 0.5


def test_text_encoders_have_the_known_configuration() -> None:
    """text_encoder/config.json of the same three, and text_encoder_2/config.json of the last."""
    sd1, xl = base_of(Family.SD1), base_of(Family.SDXL)
    xl_shapes = shapes_of(STANDARD_SDXL)
    clip = clip_encoder(shapes_of(STANDARD), CLIP_L, None, sd1).config
    second = open_clip_encoder(xl_shapes, XL_OPEN_CLIP, xl, drop=0, projected=True).config
    sd2 = open_clip_encoder(shapes_of(STANDARD_SD2), OPEN_CLIP, base_of(Family.SD2), drop=1, projected=False).config
    assert clip == clip_encoder(xl_shapes, XL_CLIP_L, None, xl).config
    names = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "hidden_act")
    assert [clip[name] for name in names] == [768, 3072, 12, 12, "quick_gelu"]
    assert [sd2[name] for name in names] == [1024, 4096, 16, 23, "gelu"]
    assert [second[name] for name in names] == [1280, 5120, 20, 32, "gelu"]
    assert second["projection_dim"] == 1280


def test_the_shipped_checkpoint_gives_its_shipped_configuration(tiny: BaseModelFile) -> None:
    shapes, params, folder = read_shapes(tiny.path), read_params(tiny), tiny.path.parent / "diffusers"
    encoder = clip_encoder(shapes, CLIP_L, encoder_folder(params, TOKENIZER), tiny).config
    parts = {
        "unet": unet_config(shapes, params, tiny), "vae": vae_config(shapes, params, tiny), "text_encoder": encoder
    }
    for part, derived in parts.items():
        written = json.loads((folder / part / "config.json").read_text())
        apart = ("sample_size", "transformer_layers_per_block")  # one number there, one a level here
        shared = {name: value for name, value in written.items() if name in derived and name not in apart}
        assert {name: _plain(derived[name]) for name in shared} == shared


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def test_an_unusual_size_without_yaml_is_refused() -> None:
    with pytest.raises(BaseUnsupported, match="yaml"):
        unet_config(shapes_of(MINIATURE), {}, base_of(Family.SD1))


def test_heads_come_from_the_yaml_when_it_says_them() -> None:
    params = {"network_config": {"params": {"num_head_channels": 32}}}
    assert unet_config(shapes_of(STANDARD_SDXL), params, base_of(Family.SDXL))["attention_head_dim"] == (10, 20, 40)


def test_a_broken_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("model: [")
    with pytest.raises(BaseUnsupported, match=r"small\.yaml"):
        read_params(base_of(Family.SD1, tmp_path / "small.safetensors"))


def test_a_network_with_pruned_blocks_is_refused() -> None:
    """As distilled variants of SDXL have them: no attention in the middle."""
    shapes = {name: shape for name, shape in shapes_of(STANDARD_SDXL).items() if "middle_block.1." not in name}
    with pytest.raises(BaseUnsupported, match="unusual UNet"):
        unet_config(shapes, {}, base_of(Family.SDXL))


def test_a_text_encoder_with_a_part_missing_is_refused() -> None:
    shapes = {name: shape for name, shape in shapes_of(STANDARD).items() if "encoder.layers.0.mlp" not in name}
    with pytest.raises(BaseUnsupported, match="text encoder"):
        clip_encoder(shapes, CLIP_L, None, base_of(Family.SD1))
