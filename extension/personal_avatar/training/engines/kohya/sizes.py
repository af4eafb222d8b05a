"""Checkpoints in Stable Diffusion 1's layout, but of another size: sd-scripts has its sizes as constants, `sized.py`
sets them from what is found here. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.shipped import TOKENIZER
from personal_avatar.storage import write_json
from personal_avatar.training.families.detect import CLIP_L, UNET, VAE
from personal_avatar.training.families.files import Shapes, read_shapes
from personal_avatar.training.families.loading import named_layout_errors
from personal_avatar.training.families.sidecar import encoder_folder, read_params
from personal_avatar.training.families.text import clip_encoder
from personal_avatar.training.families.unet_config import unet_config
from personal_avatar.training.families.vae_config import SCALING_FACTORS, vae_config
from personal_avatar.wording import FAMILIES, text

LAUNCHER = Path(__file__).with_name("sized.py")
FILE_NAME = "sizes.json"
# Tensors by which its fixed architectures are told from others, and how many tensors their UNets have.
STANDARD: dict[Family, Shapes] = {
    Family.SD1: {UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768)},
    Family.SD2: {UNET + "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 1024)},
    Family.SDXL: {UNET + "input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": (640, 2048)},
}
UNET_TENSORS = {Family.SD1: 686, Family.SD2: 686, Family.SDXL: 1680}
VAE_TENSOR = (VAE + "decoder.conv_in.weight", (512, 4, 3, 3))
VAE_LEVELS, MOST_LEVELS, GROUPS = 4, 4, 32


@dataclass(frozen=True)
class Sizes:
    """Keyword arguments: `unet` of its `UNet2DConditionModel`, `vae` of diffusers' `AutoencoderKL`, `text` of
    transformers' `CLIPTextConfig`."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]


def is_standard(shapes: Shapes, family: Family) -> bool:
    """Whether sd-scripts fits it as it is."""
    wanted = STANDARD[family]
    name, shape = VAE_TENSOR
    return (
        all(shapes.get(key, ())[:2] == width for key, width in wanted.items())
        and sum(key.startswith(UNET) for key in shapes) == UNET_TENSORS[family]
        and shapes.get(name, shape) == shape
    )


def launcher(base: BaseModelFile, folder: Path) -> list[str]:
    """What stands between Python and the name of a script: nothing for a standard size, else `sized.py` and the sizes,
    which are written into `folder`. Raises `BaseUnsupported`."""
    shapes = read_shapes(base.path)
    if is_standard(shapes, base.family):
        return []
    write_json(folder / FILE_NAME, asdict(sizes_of(base, shapes)))
    return [str(LAUNCHER), str(folder / FILE_NAME)]


def sizes_of(base: BaseModelFile, shapes: Shapes) -> Sizes:
    """Of a checkpoint in the layout of Stable Diffusion 1. Raises `BaseUnsupported` when sd-scripts has no network for
    it."""
    if base.family is not Family.SD1:
        raise stated(BaseUnsupported, "base.not_standard", file=base.path.name)
    params = read_params(base)
    with named_layout_errors(base, FAMILIES[base.family]):
        unet = unet_config(shapes, params, base)
        vae = vae_config(shapes, params, base)
        encoder = clip_encoder(shapes, CLIP_L, encoder_folder(params, TOKENIZER), base).config
        beside = vae_config(_vae_shapes(base.vae), params, base) if base.vae else vae
    unusual = [*_unusual(unet), *([text("content.other_vae")] if beside != vae else []), *_unusual_vae(vae)]
    if unusual:
        raise stated(BaseUnsupported, "base.has", file=base.path.name, unusual=", ".join(unusual))
    return Sizes(unet, vae, encoder)


def _vae_shapes(path: Path) -> Shapes:
    """Of a file of its own, under the names that they have in a checkpoint."""
    return {VAE + name.removeprefix(VAE): shape for name, shape in read_shapes(path).items()}


def _unusual(unet: dict[str, Any]) -> Iterator[str]:
    """What its UNet cannot be, or cannot be saved as."""
    widths, up = unet["block_out_channels"], unet["up_block_types"]
    if len(widths) > MOST_LEVELS or any(width % GROUPS for width in widths):
        yield text("content.levels", widths=widths)
    if up[0] != "UpBlock2D" or "UpBlock2D" in up[1:-1]:
        yield text("content.attention_levels")
    if unet["use_linear_projection"] or max(unet["transformer_layers_per_block"]) > 1:
        yield text("content.attention")


def _unusual_vae(vae: dict[str, Any]) -> Iterator[str]:
    if len(vae["block_out_channels"]) != VAE_LEVELS or vae["scaling_factor"] != SCALING_FACTORS[Family.SD1]:
        yield text("content.unusual_vae")
