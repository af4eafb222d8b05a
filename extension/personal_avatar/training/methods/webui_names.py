"""Under which name the WebUI looks for a kohya key.

The WebUI counts blocks as if every level had two residual blocks and a sampler, and ignores keys that it does not find
without a message. So each key is turned into the WebUI's name here, and must exist in the checkpoint. Keys that already
have the checkpoint's own names of blocks (as everybody writes them for SDXL) are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from personal_avatar.domain import Family

_RESNET_PARTS = {
    "conv1": "in_layers_2",
    "conv2": "out_layers_3",
    "time_emb_proj": "emb_layers_1",
    "conv_shortcut": "skip_connection",
}
BLOCKS_PER_LEVEL = 3


def _part(kind: str, rest: str) -> str:
    return _RESNET_PARTS.get(rest, rest) if kind == "resnets" else rest


def _slot(kind: str) -> int:
    """Place within a block: the residual block first, attention second."""
    return 1 if kind == "attentions" else 0


def _down(level: str, kind: str, index: str, rest: str) -> str:
    block = 1 + BLOCKS_PER_LEVEL * int(level) + int(index)
    return f"diffusion_model_input_blocks_{block}_{_slot(kind)}_{_part(kind, rest)}"


def _up(level: str, kind: str, index: str, rest: str) -> str:
    block = BLOCKS_PER_LEVEL * int(level) + int(index)
    return f"diffusion_model_output_blocks_{block}_{_slot(kind)}_{_part(kind, rest)}"


def _middle(kind: str, index: str, rest: str) -> str:
    place = 1 if kind == "attentions" else 2 * int(index)
    return f"diffusion_model_middle_block_{place}_{_part(kind, rest)}"


def _downsampler(level: str) -> str:
    return f"diffusion_model_input_blocks_{BLOCKS_PER_LEVEL * (int(level) + 1)}_0_op"


def _upsampler(level: str) -> str:
    """The first upsampler has no attention before it, the others have."""
    return f"diffusion_model_output_blocks_{BLOCKS_PER_LEVEL * int(level) + 2}_{2 if int(level) else 1}_conv"


def _own_name(rest: str) -> str:
    return f"diffusion_model_{rest}"


def _clip(rest: str) -> str:
    return f"transformer_text_model_encoder_layers_{rest}"


def _xl_clip(rest: str) -> str:
    return f"0_{_clip(rest)}"


def _open_clip(number: str, rest: str) -> str:
    """OpenCLIP joins query, key and value; the WebUI finds the joined module when the end of the name is cut off."""
    for ours, theirs in (("mlp_fc1", "mlp_c_fc"), ("mlp_fc2", "mlp_c_proj"), ("self_attn", "attn")):
        rest = rest.replace(ours, theirs)
    return f"model_transformer_resblocks_{number}_{rest}"


def _xl_open_clip(number: str, rest: str) -> str:
    return f"1_{_open_clip(number, rest)}"


_RULES: tuple[tuple[re.Pattern[str], Callable[..., str]], ...] = (
    (re.compile(r"lora_unet_down_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)"), _down),
    (re.compile(r"lora_unet_up_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)"), _up),
    (re.compile(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)"), _middle),
    (re.compile(r"lora_unet_down_blocks_(\d+)_downsamplers_0_conv"), _downsampler),
    (re.compile(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv"), _upsampler),
    (re.compile(r"lora_unet_((?:input_blocks|middle_block|output_blocks)_.+)"), _own_name),
)
_LAYERS = "text_model_encoder_layers_"
_CLIP_RULE = (re.compile(f"lora_te_{_LAYERS}(.+)"), _clip)
_OPEN_CLIP_RULE = (re.compile(rf"lora_te_{_LAYERS}(\d+)_(.+)"), _open_clip)
_XL_CLIP_RULE = (re.compile(f"lora_te1_{_LAYERS}(.+)"), _xl_clip)
_XL_OPEN_CLIP_RULE = (re.compile(rf"lora_te2_{_LAYERS}(\d+)_(.+)"), _xl_open_clip)
_TEXT_RULES: dict[Family, tuple[tuple[re.Pattern[str], Callable[..., str]], ...]] = {
    Family.SD1: (_CLIP_RULE,),
    Family.SD2: (_OPEN_CLIP_RULE,),
    Family.SDXL: (_XL_CLIP_RULE, _XL_OPEN_CLIP_RULE),
}


def webui_name(key: str, family: Family = Family.SD1) -> str | None:
    """The WebUI's module name for the kohya module `key` (without `.lora_down...`); None when it knows none."""
    for pattern, name in (*_RULES, *_TEXT_RULES[family]):
        found = pattern.fullmatch(key)
        if found:
            return name(*found.groups())
    return None
