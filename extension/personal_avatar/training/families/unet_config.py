"""Configuration of a UNet in LDM layout, derived from its tensor shapes.

Shapes tell everything but the attention heads. Standard widths have known ones (Stable Diffusion 1: 8 at every level,
2 and XL: one for 64 channels); for other sizes the yaml beside the checkpoint says them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.training.families.detect import FIRST_LAYER, LATENT_PX, UNET
from personal_avatar.training.families.files import Shapes
from personal_avatar.training.families.sidecar import unet_params
from personal_avatar.wording import text

STANDARD_WIDTH = 320
STANDARD_HEADS = 8
STANDARD_HEAD_WIDTH = 64
RESNETS = 2
MIDDLE = f"{UNET}middle_block.1."
SIZE_NUMBERS = 6  # of SDXL: original size, crop, target size


@dataclass
class _Level:
    width: int = 0
    resnets: int = 0
    depth: int = 0


def unet_config(shapes: Shapes, params: dict[str, Any], base: BaseModelFile) -> dict[str, Any]:
    """Keyword arguments of diffusers' `UNet2DConditionModel`. Raises `BaseUnsupported`, `KeyError`."""
    levels = _levels(shapes)
    context = [shape[1] for key, shape in shapes.items() if key.startswith(UNET) and key.endswith("attn2.to_k.weight")]
    unusual = _unusual(shapes, levels, reads=bool(context))
    if unusual:
        raise stated(BaseUnsupported, "base.unet", file=base.path.name, cause=text(unusual))
    return {
        "sample_size": base.native_px // LATENT_PX,
        "in_channels": shapes[FIRST_LAYER][1],
        "out_channels": shapes[UNET + "out.2.weight"][0],
        "layers_per_block": RESNETS,
        "block_out_channels": tuple(level.width for level in levels),
        "down_block_types": tuple("CrossAttnDownBlock2D" if level.depth else "DownBlock2D" for level in levels),
        "up_block_types": tuple("CrossAttnUpBlock2D" if level.depth else "UpBlock2D" for level in reversed(levels)),
        "transformer_layers_per_block": tuple(level.depth or 1 for level in levels),
        "cross_attention_dim": context[0],
        "attention_head_dim": _heads(levels, params, base),
        "use_linear_projection": len(shapes[MIDDLE + "proj_in.weight"]) == 2,
        "upcast_attention": base.family is Family.SD2,
        **(_sizes(shapes) if base.family is Family.SDXL else {}),
    }


def _unusual(shapes: Shapes, levels: list[_Level], reads: bool) -> str:
    """Key of the text that says how a UNet differs from all of ours; "" of a usual one. `reads`: whether it does read
    the prompt."""
    if not reads:
        return "content.unread"
    if not any(key.startswith(MIDDLE) for key in shapes):
        return "content.plain_middle"
    return "content.residuals" if any(level.resnets != RESNETS for level in levels) else ""


def blocks(shapes: Shapes, prefix: str) -> list[int]:
    """Sorted numbers n for which tensors `prefix<n>.` exist."""
    start = len(prefix)
    return sorted({int(key[start:].split(".", 1)[0]) for key in shapes if key.startswith(prefix)})


def _levels(shapes: Shapes) -> list[_Level]:
    """Walk the UNet's input blocks; a downsampler (`0.op`) begins a new level."""
    levels = [_Level()]
    for number in blocks(shapes, UNET + "input_blocks.")[1:]:
        block = f"{UNET}input_blocks.{number}."
        down = block + "0.op."
        if down + "weight" in shapes or down + "bias" in shapes:
            levels.append(_Level(shapes[down + "weight"][0]))
            continue
        level = levels[-1]
        level.width = shapes[block + "0.out_layers.3.weight"][0]
        level.resnets += 1
        level.depth = len(blocks(shapes, block + "1.transformer_blocks."))
    return levels


def _heads(levels: list[_Level], params: dict[str, Any], base: BaseModelFile) -> int | tuple[int, ...]:
    """Number of heads (diffusers calls it `attention_head_dim` for these families), of all levels or of each."""
    written = unet_params(params)
    heads, width = written.get("num_heads"), written.get("num_head_channels")
    if isinstance(heads, int) and heads > 0:
        return heads
    if levels[0].width == STANDARD_WIDTH and not width:
        width = STANDARD_HEAD_WIDTH
        if base.family is Family.SD1:
            return STANDARD_HEADS
    if isinstance(width, int) and width > 0:
        return tuple(max(1, level.width // width) for level in levels)
    raise stated(BaseUnsupported, "base.unconfigured", "remedy.yaml", file=base.path.name)


def _sizes(shapes: Shapes) -> dict[str, Any]:
    """Of SDXL: the embedding of the pooled text together with the six size numbers."""
    inputs = shapes[UNET + "label_emb.0.0.weight"][1]
    pooled = shapes["conditioner.embedders.1.model.text_projection"][1]
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": (inputs - pooled) // SIZE_NUMBERS,
        "projection_class_embeddings_input_dim": inputs,
    }
