"""Under which name the WebUI looks for a kohya key.

The WebUI counts blocks as if every level had two residual blocks and a sampler, and ignores keys that it does not find
without a message. So each key is turned into the WebUI's name here, and must exist in the checkpoint.
"""

from __future__ import annotations

import re
from collections.abc import Callable

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


def _text(rest: str) -> str:
    return f"transformer_text_model_encoder_layers_{rest}"


_RULES: tuple[tuple[re.Pattern[str], Callable[..., str]], ...] = (
    (re.compile(r"lora_unet_down_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)"), _down),
    (re.compile(r"lora_unet_up_blocks_(\d+)_(attentions|resnets)_(\d+)_(.+)"), _up),
    (re.compile(r"lora_unet_mid_block_(attentions|resnets)_(\d+)_(.+)"), _middle),
    (re.compile(r"lora_unet_down_blocks_(\d+)_downsamplers_0_conv"), _downsampler),
    (re.compile(r"lora_unet_up_blocks_(\d+)_upsamplers_0_conv"), _upsampler),
    (re.compile(r"lora_te_text_model_encoder_layers_(.+)"), _text),
)


def webui_name(key: str) -> str | None:
    """The WebUI's module name for the kohya module `key` (without `.lora_down...`); None when it knows none."""
    for pattern, name in _RULES:
        found = pattern.fullmatch(key)
        if found:
            return name(*found.groups())
    return None
