"""Configuration of a VAE in LDM layout, derived from its tensor shapes, whether it lies in the checkpoint or alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported, VaeNotFound
from personal_avatar.problems import stated
from personal_avatar.training.families.detect import VAE
from personal_avatar.training.families.files import Shapes, Stored, Weights, open_weights, read_shapes
from personal_avatar.training.families.unet_config import blocks

SCALING_FACTORS = {Family.SD1: 0.18215, Family.SD2: 0.18215, Family.SDXL: 0.13025}
T = TypeVar("T")
_PARTS = ("encoder.", "decoder.", "quant", "post_quant")


def vae_weights(weights: Stored, base: BaseModelFile) -> Weights:
    """The tensors of the VAE to use, under the names that they have in a checkpoint: of `base.vae` if there is one.

    Raises `BaseNotFound`, `BaseUnsupported`.
    """
    refuse_lost(base)
    return _of_vae(weights if base.vae is None else open_weights(base.vae), base)


def vae_shapes(shapes: Shapes, base: BaseModelFile) -> Shapes:
    """The same of shapes alone. Raises `BaseNotFound`, `BaseUnsupported`."""
    refuse_lost(base)
    return _of_vae(shapes if base.vae is None else read_shapes(base.vae), base)


def refuse_lost(base: BaseModelFile) -> None:
    """Raises `VaeNotFound` where the VAE that was chosen is not there any more."""
    if base.vae is not None and not base.vae.is_file():
        raise stated(VaeNotFound, "failure.no_vae", place=base.vae)


def _of_vae(found: Mapping[str, T], base: BaseModelFile) -> dict[str, T]:
    if base.vae is not None and not any(name.startswith(VAE) for name in found):
        return {VAE + name: found[name] for name in found if name.startswith(_PARTS)}
    return {name: found[name] for name in found if name.startswith(tuple(VAE + part for part in _PARTS))}


def vae_config(shapes: Shapes, params: dict[str, Any], base: BaseModelFile) -> dict[str, Any]:
    """Keyword arguments of diffusers' `AutoencoderKL`. Raises `BaseUnsupported`."""
    if VAE + "encoder.conv_in.weight" not in shapes or VAE + "post_quant_conv.weight" not in shapes:
        raise _no_vae(base)
    widths = tuple(
        shapes[f"{VAE}encoder.down.{n}.block.0.conv2.weight"][0] for n in blocks(shapes, VAE + "encoder.down.")
    )
    if not widths:
        raise _no_vae(base)
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": shapes[VAE + "post_quant_conv.weight"][0],
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "layers_per_block": len(blocks(shapes, VAE + "encoder.down.0.block.")),
        "sample_size": base.native_px,
        "scaling_factor": float(params.get("scale_factor", SCALING_FACTORS[base.family])),
    }


def _no_vae(base: BaseModelFile) -> BaseUnsupported:
    if base.vae is not None:
        return stated(BaseUnsupported, "base.vae", "remedy.other_vae", file=base.vae.name)
    return stated(BaseUnsupported, "base.no_vae", "remedy.vae", file=base.path.name)
