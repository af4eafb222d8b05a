"""UNets, IdentityNets and adapters of random weights, of any size: they take as long as real ones, and draw nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from personal_avatar.benchmarks.identity_layout import AdapterSize, adapter_shapes
from personal_avatar.benchmarks.ldm_layout import STANDARD_SDXL, XL_CLIP_L, XL_OPEN_CLIP, Size, Tower, shapes_of
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.identity.nouns import AdapterKind, AdapterWeights

if TYPE_CHECKING:
    import torch

HEAD = 64
POOL = 1 << 22  # random numbers that are used again and again
UNET_SEED, NET_SEED, ADAPTER_SEED = 0, 1, 2
# SDXL's shape, a sixth as wide and half as deep.
SMALL_SDXL = replace(
    STANDARD_SDXL, unet=(64, 128, 256), depth=(0, 2, 5), context=512, label=256 + 6 * 64,
    towers=(Tower(XL_CLIP_L, False, 256, 1), Tower(XL_OPEN_CLIP, True, 256, 1)),
)
SIZES = {"small": SMALL_SDXL, "standard": STANDARD_SDXL}
SMALL_ADAPTER = AdapterSize(resampler=256, resampler_heads=4)
ADAPTERS = {"small": SMALL_ADAPTER, "standard": AdapterSize()}
Module = TypeVar("Module", bound="torch.nn.Module")


def unet_of(size: Size, dtype: torch.dtype) -> Any:
    """diffusers' UNet2DConditionModel of an SDXL-like size with heads of 64 channels, random, in `dtype`."""
    import torch
    from diffusers import UNet2DConditionModel

    from personal_avatar.training.families.unet_config import unet_config

    params = {"unet_config": {"params": {"num_head_channels": HEAD}}}
    base = BaseModelFile(Path("random.safetensors"), "random", Family.SDXL)
    with torch.device("meta"):
        unet = UNet2DConditionModel(**unet_config(shapes_of(size), params, base))
    return _filled(unet, dtype, UNET_SEED)


def identitynet_of(size: Size, dtype: torch.dtype) -> Any:
    """diffusers' ControlNetModel that fits `unet_of(size)`, random, in `dtype`; nothing in it is zero."""
    import torch
    from diffusers import ControlNetModel

    with torch.device("meta"):
        net = ControlNetModel(**identitynet_config(size))
    return _filled(net, dtype, NET_SEED)


def identitynet_config(size: Size) -> dict[str, Any]:
    """As in the `config.json` of InstantID's IdentityNet, for any size."""
    return {
        "block_out_channels": size.unet,
        "down_block_types": tuple("CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in size.depth),
        "transformer_layers_per_block": tuple(depth or 1 for depth in size.depth),
        "attention_head_dim": tuple(max(1, width // HEAD) for width in size.unet),
        "cross_attention_dim": size.context,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": (size.label - size.towers[-1].width) // 6,
        "projection_class_embeddings_input_dim": size.label,
    }


def adapter_of(size: Size, parts: AdapterSize, dtype: torch.dtype) -> AdapterWeights:
    """InstantID's adapter for `unet_of(size)`, as if it had been read from a file."""
    import torch

    shapes = adapter_shapes(AdapterKind.INSTANTID, size, parts)
    tensors = {name: torch.empty(shape, dtype=dtype) for name, shape in shapes.items()}
    _fill(tensors.items(), ADAPTER_SEED)
    projection = {name.removeprefix("image_proj."): one for name, one in tensors.items() if name[:6] == "image_"}
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("ip_adapter.")})
    attention = {
        number: tuple(tensors[f"ip_adapter.{number}.to_{part}_ip.weight"] for part in "kv") for number in numbers
    }
    return AdapterWeights(AdapterKind.INSTANTID, Family.SDXL, Path("random.safetensors"), projection, attention)


def state_of(adapter: AdapterWeights) -> dict[str, Mapping[str, torch.Tensor]]:
    """The two dictionaries that diffusers loads an adapter from, without its LoRA."""
    attention = {
        f"{number}.to_{part}_ip.weight": weight
        for number, pair in adapter.attention.items() for part, weight in zip("kv", pair, strict=True)
    }
    return {"image_proj": adapter.projection, "ip_adapter": attention}


def _filled(module: Module, dtype: torch.dtype, seed: int) -> Module:
    """A module without storage gets storage and weights."""
    made = module.to(dtype).to_empty(device="cpu").eval().requires_grad_(False)
    _fill(made.named_parameters(), seed)
    return made


def _fill(tensors: Iterable[tuple[str, torch.Tensor]], seed: int) -> None:
    """Weights that keep the size of what passes through them; norms near one; no two tensors alike."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    pool = torch.randn(POOL, generator=generator)
    for name, tensor in tensors:
        flat, begin = tensor.view(-1), int(torch.randint(POOL // 2, (1,), generator=generator))
        scale = 0.05 if tensor.ndim < 2 else (tensor[0].numel()) ** -0.5
        noise = pool[begin : begin + len(flat)] * scale + float(tensor.ndim < 2 and name.endswith("weight"))
        for start in range(0, len(flat), len(noise)):
            part = flat[start : start + len(noise)]
            part.copy_(noise[: len(part)])
