"""Write the checkpoint: one fp16 safetensors file in LDM's layout, with model-spec metadata, and the WebUI's
configuration.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from . import models
from .layout import text_key, unet_key, vae_key

log = logging.getLogger(__name__)
ASSET = models.ASSETS / "avatar-tiny"
HALF_MAX = 65504.0
POSITIONS = "cond_stage_model.transformer.text_model.embeddings.position_ids"


@dataclass(frozen=True)
class Networks:
    """The three networks in evaluation mode, float32, on the CPU."""

    vae: Any
    unet: Any
    text: Any


def load_networks(vae_state: Path, unet_state: Path) -> Networks:
    """Networks of two training states; pass the `.average` file of the UNet's."""
    vae, unet, text = models.build_vae(), models.build_unet(), models.build_text_encoder()
    vae.load_state_dict(torch.load(vae_state, map_location="cpu", weights_only=True)["vae"])
    saved = torch.load(unet_state, map_location="cpu", weights_only=True)
    unet.load_state_dict(saved["unet"])
    text.load_state_dict(saved["text"])
    return Networks(vae.eval(), unet.eval(), text.eval())


def ldm_names(networks: Networks) -> dict[tuple[str, str], str]:
    """LDM's name of every weight by (network, diffusers' name), network being `unet`, `vae` or `text`."""
    attention = tuple("CrossAttn" in kind for kind in networks.unet.config.up_block_types)
    levels = len(networks.vae.config.block_out_channels)
    names = {("unet", key): f"model.diffusion_model.{unet_key(key, attention)}" for key in networks.unet.state_dict()}
    names |= {("vae", key): f"first_stage_model.{vae_key(key, levels)}" for key in networks.vae.state_dict()}
    text = (key for key in networks.text.state_dict() if not key.endswith("position_ids"))
    return names | {("text", key): f"cond_stage_model.transformer.{text_key(key)}" for key in text}


def checkpoint_weights(networks: Networks) -> dict[str, torch.Tensor]:
    """All weights under their LDM names, float16. Raises ValueError when one does not fit into half precision."""
    weights = {part: getattr(networks, part).state_dict() for part in ("unet", "vae", "text")}
    named = {}
    for (part, key), name in ldm_names(networks).items():
        value = weights[part][key]
        is_projection = part == "vae" and ".attn_1." in name and value.dim() == 2
        named[name] = value[:, :, None, None] if is_projection else value
    too_large = [name for name, value in named.items() if value.abs().max() > HALF_MAX]
    if too_large:
        raise ValueError(f"weights beyond half precision: {', '.join(too_large)}; train longer with a lower rate")
    halved = {name: value.detach().half().contiguous().clone() for name, value in named.items()}
    return {**halved, POSITIONS: torch.arange(models.TOKENS)[None]}


def load_checkpoint(path: Path = ASSET / "avatar-tiny.safetensors") -> Networks:
    """The networks of a checkpoint that `export` wrote, float32."""
    from safetensors.torch import load_file

    networks = Networks(models.build_vae().eval(), models.build_unet().eval(), models.build_text_encoder().eval())
    weights = load_file(path)
    for (part, key), name in ldm_names(networks).items():
        own = getattr(networks, part).state_dict()[key]
        own.copy_(weights[name].reshape(own.shape))
    return networks


def metadata() -> dict[str, str]:
    """Model-spec fields, as the WebUI and others show them."""
    size = f"{models.RESOLUTION_PX}x{models.RESOLUTION_PX}"
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.implementation": "https://github.com/Stability-AI/generative-models",
        "modelspec.title": "avatar-tiny",
        "modelspec.description": "A very small model of procedurally drawn portraits; no photograph was used.",
        "modelspec.resolution": size,
        "modelspec.prediction_type": "epsilon",
    }


def export(networks: Networks, target: Path = ASSET / "avatar-tiny.safetensors") -> Path:
    """Write the checkpoint all or nothing. The yaml beside it is part of the repository and fits as long as the
    widths do.
    """
    from safetensors.torch import save_file

    temporary = target.with_suffix(".tmp")
    save_file(checkpoint_weights(networks), temporary, metadata=metadata())
    os.replace(temporary, target)
    log.info("%s: %.1f MB", target, target.stat().st_size / 1e6)
    return target
