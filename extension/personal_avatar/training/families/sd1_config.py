"""Configuration of a checkpoint of Stable Diffusion 1 layout, derived from its tensor shapes.

Shapes tell everything but two numbers, the attention heads of UNet and text encoder. Standard sizes have known heads
(8 in the UNet, one per 64 channels in CLIP); for other sizes the yaml beside the checkpoint says them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.families.detect import CLIP_L, UNET, VAE, Shapes

STANDARD_WIDTH = 320
STANDARD_HEADS = 8
CLIP_HEAD_WIDTH = 64
SCALING_FACTOR = 0.18215
TOKENIZER = Path(__file__).resolve().parents[2] / "assets" / "avatar-tiny" / "diffusers" / "tokenizer"


@dataclass(frozen=True)
class Sd1Config:
    """Keyword arguments of diffusers' UNet and VAE and of transformers' CLIPTextConfig; folder of the tokenizer."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    text: dict[str, Any]
    tokenizer: Path


def derive(shapes: Shapes, base: BaseModelFile) -> Sd1Config:
    """Raises `BaseUnsupported` when a part is missing or the shapes fit no known layout."""
    params = _yaml_params(base)
    encoder_folder = _text_folder(params)
    return Sd1Config(
        unet=_unet(shapes, params, base),
        vae=_vae(shapes, params, base),
        text=_text(shapes, encoder_folder, base),
        tokenizer=encoder_folder if encoder_folder and (encoder_folder / "vocab.json").is_file() else TOKENIZER,
    )


def _yaml_params(base: BaseModelFile) -> dict[str, Any]:
    """`model.params` of the yaml beside the checkpoint; empty when there is none."""
    import yaml

    path = base.config or base.path.with_suffix(".yaml")
    if not path.is_file():
        return {}
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return dict(document["model"]["params"])
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise BaseUnsupported(f"{path.name} is not a model configuration ({error}).", "Mend or remove it.") from None


def _text_folder(params: dict[str, Any]) -> Path | None:
    version = params.get("cond_stage_config", {}).get("params", {}).get("version", "")
    folder = Path(str(version))
    if folder.is_dir():
        return folder
    return TOKENIZER if str(version) == "@TEXT_ENCODER@" else None


def _blocks(shapes: Shapes, prefix: str) -> list[int]:
    """Sorted numbers n for which tensors `prefix<n>.` exist."""
    start = len(prefix)
    return sorted({int(key[start:].split(".", 1)[0]) for key in shapes if key.startswith(prefix)})


@dataclass
class _Level:
    width: int = 0
    resnets: int = 0
    attention: bool = False


def _levels(shapes: Shapes) -> list[_Level]:
    """Walk the UNet's input blocks; a downsampler (`0.op`) begins a new level."""
    levels = [_Level()]
    for number in _blocks(shapes, UNET + "input_blocks.")[1:]:
        block = f"{UNET}input_blocks.{number}."
        if block + "0.op.weight" in shapes:
            levels.append(_Level())
            continue
        level = levels[-1]
        level.width = shapes[block + "0.out_layers.3.weight"][0]
        level.resnets += 1
        level.attention |= block + "1.norm.weight" in shapes
    return levels


def _unet(shapes: Shapes, params: dict[str, Any], base: BaseModelFile) -> dict[str, Any]:
    levels = _levels(shapes)
    context = [shape[1] for key, shape in shapes.items() if key.startswith(UNET) and key.endswith("attn2.to_k.weight")]
    if not context or any(level.resnets != 2 for level in levels):
        raise BaseUnsupported(f"{base.path.name} has an unusual UNet (two residual blocks a level are expected).")
    middle = shapes[UNET + "middle_block.1.proj_in.weight"]
    return {
        "sample_size": base.native_px // 8,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 2,
        "block_out_channels": tuple(level.width for level in levels),
        "down_block_types": tuple("CrossAttnDownBlock2D" if level.attention else "DownBlock2D" for level in levels),
        "up_block_types": tuple("CrossAttnUpBlock2D" if level.attention else "UpBlock2D" for level in reversed(levels)),
        "cross_attention_dim": context[0],
        "attention_head_dim": _unet_heads(levels[0].width, params, base),
        "use_linear_projection": len(middle) == 2,
    }


def _unet_heads(width: int, params: dict[str, Any], base: BaseModelFile) -> int:
    """Number of heads at every level (diffusers calls it `attention_head_dim` for this family)."""
    heads = params.get("unet_config", {}).get("params", {}).get("num_heads")
    if isinstance(heads, int) and heads > 0:
        return heads
    if width == STANDARD_WIDTH:
        return STANDARD_HEADS
    raise BaseUnsupported(
        f"{base.path.name} is of an unusual size and has no configuration.",
        "Put its yaml beside it, under the same name.",
    )


def _vae(shapes: Shapes, params: dict[str, Any], base: BaseModelFile) -> dict[str, Any]:
    if VAE + "encoder.conv_in.weight" not in shapes or VAE + "post_quant_conv.weight" not in shapes:
        raise BaseUnsupported(f"{base.path.name} has no VAE in it.", "Choose a checkpoint with a VAE inside.")
    levels = _blocks(shapes, VAE + "encoder.down.")
    widths = tuple(shapes[f"{VAE}encoder.down.{n}.block.0.conv2.weight"][0] for n in levels)
    return {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": shapes[VAE + "post_quant_conv.weight"][0],
        "block_out_channels": widths,
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "layers_per_block": len(_blocks(shapes, VAE + "encoder.down.0.block.")),
        "sample_size": base.native_px,
        "scaling_factor": float(params.get("scale_factor", SCALING_FACTOR)),
    }


def text_prefix(shapes: Shapes) -> str:
    """Where the text model's tensors are; very old files lack the `text_model.` part."""
    return CLIP_L + "text_model." if CLIP_L + "text_model.final_layer_norm.weight" in shapes else CLIP_L


def _text(shapes: Shapes, folder: Path | None, base: BaseModelFile) -> dict[str, Any]:
    prefix = text_prefix(shapes)
    try:
        vocabulary, width = shapes[prefix + "embeddings.token_embedding.weight"]
        positions = shapes[prefix + "embeddings.position_embedding.weight"][0]
        inner = shapes[prefix + "encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError as error:
        raise BaseUnsupported(f"The text encoder of {base.path.name} is incomplete ({error} is missing).") from None
    written = _read_json(folder / "config.json") if folder and (folder / "config.json").is_file() else {}
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": width,
        "max_position_embeddings": positions,
        "num_hidden_layers": len(_blocks(shapes, prefix + "encoder.layers.")),
        "num_attention_heads": int(written.get("num_attention_heads", max(1, width // CLIP_HEAD_WIDTH))),
        "hidden_act": str(written.get("hidden_act", "quick_gelu")),
        "bos_token_id": 49406,
        "eos_token_id": 49407,
        "pad_token_id": 49407,
    }


def _read_json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
