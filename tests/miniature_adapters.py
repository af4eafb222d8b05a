"""Miniatures of the files that put a face into pictures: random weights in the true layout, fitting `miniatures`.

What an adapter holds follows the UNets of `miniatures.SIZES`; embeddings are 512 wide, as those of real recognisers.
CLIP's states are `CLIP_WIDTH` wide instead of 1280, one for each of the true 257 patches.
"""
from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from insightface_models import models
from ldm_layout import Size
from miniatures import SIZE_CHANNELS, SIZES, random_weights
from personal_avatar.benchmarks.identity_layout import AdapterSize, adapter_shapes
from personal_avatar.domain import Family
from personal_avatar.identity.nouns import AdapterKind

CLIP_WIDTH = 64
AVATAR_TINY = Size(unet=(64, 128, 192), depth=(0, 1, 0), context=64)  # of its UNet
MINIATURE_ADAPTER = AdapterSize(resampler=128, resampler_heads=2, clip=CLIP_WIDTH, lora_rank=4, depth=4)
# The names under which they are published; InstantID's is the one that WebUI users give it.
NAMES = {
    (AdapterKind.INSTANTID, Family.SDXL): "ip-adapter_instant_id_sdxl",
    (AdapterKind.FACEID, Family.SD1): "ip-adapter-faceid_sd15",
    (AdapterKind.FACEID, Family.SDXL): "ip-adapter-faceid_sdxl",
    (AdapterKind.FACEID_PLUS, Family.SD1): "ip-adapter-faceid-plus_sd15",
    (AdapterKind.FACEID_PLUS_V2, Family.SD1): "ip-adapter-faceid-plusv2_sd15",
    (AdapterKind.FACEID_PLUS_V2, Family.SDXL): "ip-adapter-faceid-plusv2_sdxl",
    (AdapterKind.FACEID_PORTRAIT, Family.SD1): "ip-adapter-faceid-portrait_sd15",
    (AdapterKind.FACEID_PORTRAIT, Family.SDXL): "ip-adapter-faceid-portrait_sdxl",
    (AdapterKind.FACEID_PORTRAIT_UNNORM, Family.SDXL): "ip-adapter-faceid-portrait_sdxl_unnorm",
}
PACKS = {"antelopev2": ("scrfd_10g_bnkps.onnx", "glintr100.onnx"), "buffalo_l": ("det_10g.onnx", "w600k_r50.onnx")}


def make_adapter(
    kind: AdapterKind, family: Family, folder: Path, *, suffix: str = ".safetensors", seed: int = 0, half: bool = False,
    size: Size | None = None,
) -> Path:
    """Write the file under its published name; `suffix` ".bin": a pickle of two nested dictionaries. `size`: of the
    checkpoint that it fits, None: that of the miniatures."""
    weights = random_weights(adapter_shapes(kind, size or SIZES[family], MINIATURE_ADAPTER), half, seed)
    path = folder / f"{NAMES[kind, family]}{suffix}"
    folder.mkdir(parents=True, exist_ok=True)
    _write(path, weights)
    return path


def nested(weights: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Flat names -> the two dictionaries that a `.bin` holds."""
    return {
        root: {name.removeprefix(f"{root}."): weight for name, weight in weights.items() if name.startswith(f"{root}.")}
        for root in ("image_proj", "ip_adapter")
    }


def _write(path: Path, weights: dict[str, Any]) -> None:
    import torch
    from safetensors.torch import save_file

    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(nested(weights), path)


def make_identitynet(folder: Path, *, name: str = "diffusion_pytorch_model", half: bool = False, seed: int = 0) -> Path:
    """Write the SDXL miniature's `config.json` and `<name>.safetensors` into `folder`; the path of the latter.

    Its attention has heads of 64 channels, as that of all SDXL networks.
    """
    import torch

    net = identitynet_config()
    made = _filled(net, seed)
    made.to(torch.float16 if half else torch.float32).save_pretrained(folder)
    written = folder / "diffusion_pytorch_model.safetensors"
    return written.rename(folder / f"{name}.safetensors")


def identitynet_config() -> Any:
    """A diffusers ControlNetModel that fits the SDXL miniature."""
    from diffusers import ControlNetModel

    size = SIZES[Family.SDXL]
    return ControlNetModel(
        block_out_channels=size.unet, down_block_types=tuple(
            "CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in size.depth
        ),
        transformer_layers_per_block=[depth or 1 for depth in size.depth], cross_attention_dim=size.context,
        attention_head_dim=[max(1, width // 64) for width in size.unet], use_linear_projection=True,
        addition_embed_type="text_time", addition_time_embed_dim=SIZE_CHANNELS,
        projection_class_embeddings_input_dim=size.label,
    )


def _filled(module: Any, seed: int) -> Any:
    """The module with random weights, also where a fresh one has zeros."""
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items() if tensor.is_floating_point()}
    module.load_state_dict(random_weights(shapes, seed=seed), strict=False)
    return module


def make_clip_vision(folder: Path, *, seed: int = 0) -> Path:
    """Write `config.json` and `model.safetensors` in the layout of transformers' CLIP-ViT-H; returns `folder`."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=CLIP_WIDTH, intermediate_size=2 * CLIP_WIDTH, projection_dim=32, num_hidden_layers=3,
        num_attention_heads=2, image_size=224, patch_size=14, hidden_act="gelu",
    )
    _filled(CLIPVisionModelWithProjection(config), seed).save_pretrained(folder)
    return folder


def make_face_pack(folder: Path, cache: Path) -> Path:
    """`antelopev2` and `buffalo_l` in `folder`: in both the small models of insightface, under the names of the large.

    `cache`: where the small ones are kept after they were fetched once. Returns `folder`.
    """
    small = models(cache)
    for pack, names in PACKS.items():
        (folder / pack).mkdir(parents=True, exist_ok=True)
        for source, name in zip(small, names, strict=True):
            shutil.copyfile(source, folder / pack / name)
    return folder
