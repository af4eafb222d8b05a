"""Key names: from diffusers' modules to the LDM layout that Stable Diffusion 1 checkpoints have.

Numbering follows from the layout alone: two residual blocks a level make three `input_blocks` a level (the third is the
downsampler), and three `output_blocks` a level, the last of which also holds the upsampler.
"""

from __future__ import annotations

import re

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def unet_key(key: str, up_levels_with_attention: tuple[bool, ...]) -> str:
    """LDM's name of one UNet weight, without the `model.diffusion_model.` prefix. Raises KeyError for an unknown
    name.
    """
    if match := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.+)", key):
        side, level, kind, place, rest = match.groups()
        number = 3 * int(level) + int(place) + (side == "down")
        block = f"{'input' if side == 'down' else 'output'}_blocks.{number}"
        return f"{block}.0.{_residual(rest)}" if kind == "resnets" else f"{block}.1.{rest}"
    if match := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv\.(.+)", key):
        return f"input_blocks.{3 * (int(match[1]) + 1)}.0.op.{match[2]}"
    if match := re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv\.(.+)", key):
        place = 2 if up_levels_with_attention[int(match[1])] else 1
        return f"output_blocks.{3 * int(match[1]) + 2}.{place}.conv.{match[2]}"
    if match := re.fullmatch(r"mid_block\.resnets\.(\d)\.(.+)", key):
        return f"middle_block.{2 * int(match[1])}.{_residual(match[2])}"
    if match := re.fullmatch(r"mid_block\.attentions\.0\.(.+)", key):
        return f"middle_block.1.{match[1]}"
    name, _, parameter = key.rpartition(".")
    return f"{UNET_ENDS[name]}.{parameter}"


def vae_key(key: str, levels: int) -> str:
    """LDM's name of one VAE weight, without the `first_stage_model.` prefix."""
    key = re.sub(r"^encoder\.down_blocks\.(\d+)\.resnets", r"encoder.down.\1.block", key)
    key = re.sub(r"^encoder\.down_blocks\.(\d+)\.downsamplers\.0", r"encoder.down.\1.downsample", key)
    key = re.sub(r"^decoder\.up_blocks\.(\d+)", lambda match: f"decoder.up.{levels - 1 - int(match[1])}", key)
    key = key.replace(".upsamplers.0", ".upsample").replace(".resnets.", ".block.") if ".up." in key else key
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda match: f"mid.block_{int(match[1]) + 1}", key)
    if match := re.fullmatch(r"(.+)mid_block\.attentions\.0\.(.+)\.(weight|bias)", key):
        return f"{match[1]}mid.attn_1.{VAE_ATTENTION[match[2]]}.{match[3]}"
    return key.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")


def text_key(key: str) -> str:
    """LDM's name of one text encoder weight, without the `cond_stage_model.transformer.` prefix."""
    return key if key.startswith("text_model.") else f"text_model.{key}"


def _residual(rest: str) -> str:
    name, _, parameter = rest.rpartition(".")
    return f"{RESIDUAL[name]}.{parameter}"
