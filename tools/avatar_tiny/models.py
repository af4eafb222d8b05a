"""The three networks of avatar-tiny, built from the configuration that is shipped with the checkpoint.

The folder `extension/personal_avatar/assets/avatar-tiny/diffusers` is the only place where a width or a depth is
written down.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).resolve().parents[2] / "extension" / "personal_avatar" / "assets"
CONFIG = ASSETS / "avatar-tiny" / "diffusers"
LATENT_SCALE = 0.18215
"""Stable Diffusion's constant; the VAE's latents have unit variance after multiplication by it."""
RESOLUTION_PX = 192
LATENT_PX = RESOLUTION_PX // 8
TOKENS = 77


def read_config(part: str) -> dict[str, Any]:
    """Configuration of `unet`, `vae`, `text_encoder` or `scheduler` as diffusers and transformers write it."""
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    values = json.loads((CONFIG / part / name).read_text(encoding="utf-8"))
    return {key: value for key, value in values.items() if not key.startswith("_")}


def build_vae() -> Any:
    """AutoencoderKL with random weights; see `codec.start_as_linear_codec` for weights to start from."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(**read_config("vae"))


def build_unet() -> Any:
    """UNet2DConditionModel with random weights.

    The plain attention processor is used: at 12 x 12 positions the fused kernel's backward pass is the slower one on
    a CPU.
    """
    from diffusers import UNet2DConditionModel
    from diffusers.models.attention_processor import AttnProcessor

    unet = UNet2DConditionModel(**read_config("unet"))
    unet.set_attn_processor(AttnProcessor())
    return unet


def build_text_encoder() -> Any:
    """CLIPTextModel with weights that let captions take hold early.

    CLIP starts its token embeddings at a deviation of .02, which drowns in the layers' outputs of so narrow a model:
    they are scaled by 25, positions by 5, and the residual branches by .5. LayerNorm biases get a random offset
    because the WebUI's prompt emphasis divides by the mean of the last LayerNorm's output, which would otherwise be
    almost zero.
    """
    import torch
    from transformers import CLIPTextConfig, CLIPTextModel

    encoder = CLIPTextModel(CLIPTextConfig(**read_config("text_encoder")))
    with torch.no_grad():
        for name, weight in encoder.named_parameters():
            if "layer_norm" in name and name.endswith("bias"):
                weight.add_(torch.randn_like(weight) * 0.1 + (0.1 if "final" in name else 0.0))
            elif name.endswith("token_embedding.weight"):
                weight.mul_(25)
            elif name.endswith("position_embedding.weight"):
                weight.mul_(5)
            elif name.endswith(("out_proj.weight", "fc2.weight")):
                weight.mul_(0.5)
    return encoder


def load_tokenizer() -> Any:
    """CLIP's tokenizer from the shipped vocabulary, never from the network."""
    from transformers import CLIPTokenizerFast

    return CLIPTokenizerFast.from_pretrained(CONFIG / "tokenizer", local_files_only=True)


def tokenize(tokenizer: Any, captions: list[str]) -> Any:
    """Token ids, int64 [len(captions), 77]."""
    return tokenizer(captions, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt").input_ids
