"""What a checkpoint file is, by the names and shapes of its tensors; no weights are read, no torch for safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.training.families.files import Shapes
from personal_avatar.training.families.sidecar import mapping
from personal_avatar.wording import text

UNET = "model.diffusion_model."
_FIRST = "input_blocks.0.0.weight"
FIRST_LAYER = f"{UNET}{_FIRST}"
VAE = "first_stage_model."
CLIP_L = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
XL_CLIP_L = "conditioner.embedders.0.transformer."
XL_OPEN_CLIP = "conditioner.embedders.1.model."
WEIGHTS = (UNET, VAE, CLIP_L, OPEN_CLIP, XL_CLIP_L, XL_OPEN_CLIP)
EPSILON, VELOCITY, UNKNOWN = "epsilon", "v_prediction", ""
CHANNELS, INPAINTING_CHANNELS = 4, 9
LATENT_PX = 8  # of a picture to one place of its latents

_TEXT_ENCODERS = ("cond_stage_model.", "conditioner.embedders.")
_UNCLIP = ("embedder.", "noise_augmentor.")
_EDM = {"edm_mean": "Playground v2.5", "edm_std": "Playground v2.5", "edm_vpred.": "CosXL"}
_VIDEO = (".time_stack.", ".time_mixer.", "temporal_transformer_blocks.")
# What else a file is: keys of the table, behind "content.".
_OTHER_INPUTS = {5: "depth", 7: "upscaler", 8: "editing"}
_OTHER_PARTS = {
    "model_ema.": "averaged",
    "double_blocks.": "flux",
    "joint_blocks.": "sd3",
    "lora_up.weight": "lora",
    "lora_B.weight": "lora",
    "lora_linear_layer.up.": "lora",
    ".lora.up.": "lora",
    "_lora.up.": "lora",
    "hada_w1": "lora",
    "lokr_w": "lora",
    "oft_": "lora",
    "lora_unet_": "lora",
    "lora_te": "lora",
    "lycoris_": "lora",
    "string_to_param": "embedding",
    "emb_params": "embedding",
    "clip_g": "embedding",
    "control_model.": "controlnet",
    "controlnet_": "controlnet",
    "zero_convs.": "controlnet",
    "input_hint_block.": "controlnet",
    "ip_adapter.": "ip_adapter",
    "motion_modules.": "motion",
    "single_transformer_blocks.": "flux",
    _FIRST: "unet",
    "down_blocks.": "diffusers",
    "transformer_blocks.": "transformer",
    "decoder.conv_in.weight": "vae",
    "text_model.": "text_encoder",
}


def detect(shapes: Shapes, name: str = "The checkpoint") -> Family:
    """The architecture. Raises `BaseUnsupported` for what is not a text-to-image Stable Diffusion of LDM layout."""
    _refuse_video(shapes, name)
    first = shapes.get(FIRST_LAYER)
    if first is None and _has(shapes, f"{UNET}input_blocks."):
        raise stated(BaseUnsupported, "base.lacks", "remedy.again", file=name, tensor=FIRST_LAYER)
    if first is None:
        raise stated(BaseUnsupported, "base.foreign", file=name, content=_foreign(shapes))
    if len(first) < 2:
        raise stated(BaseUnsupported, "base.odd", file=name)
    if first[1] not in (CHANNELS, INPAINTING_CHANNELS):
        content = text(f"content.{_OTHER_INPUTS.get(first[1], 'unknown')}")
        raise stated(BaseUnsupported, "base.channels", file=name, content=content, channels=first[1])
    _refuse_edm(shapes, name)
    if _has(shapes, XL_OPEN_CLIP) and _has(shapes, XL_CLIP_L):
        return Family.SDXL
    if _has(shapes, "conditioner.embedders.0.model."):
        raise stated(BaseUnsupported, "base.refiner", "remedy.base_model", file=name)
    if not any(_has(shapes, prefix) for prefix in (*_TEXT_ENCODERS, *_UNCLIP)):
        raise _without_text(shapes, name)
    if _has(shapes, UNET + "label_emb."):
        raise stated(BaseUnsupported, "base.unclip", file=name)
    return _by_text_encoder(shapes, name)


def _refuse_video(shapes: Shapes, name: str) -> None:
    """Such a network takes as many channels as one that edits pictures."""
    if any(mark in key for key in shapes for mark in _VIDEO):
        raise stated(BaseUnsupported, "base.video", file=name)


def _refuse_edm(shapes: Shapes, name: str) -> None:
    """Such files differ from those of Stable Diffusion XL in a few numbers beside the network."""
    for mark, model in _EDM.items():
        if _has(shapes, mark):
            raise stated(BaseUnsupported, "base.edm", "remedy.edm", file=name, model=model)


def _by_text_encoder(shapes: Shapes, name: str) -> Family:
    if _has(shapes, OPEN_CLIP):
        return Family.SD2
    if not _has(shapes, CLIP_L):
        raise _without_text(shapes, name)
    return Family.SD1


def _without_text(shapes: Shapes, name: str) -> BaseUnsupported:
    lacks = "base.textless" if _has(shapes, VAE) else "base.bare"
    return stated(BaseUnsupported, lacks, "remedy.full", file=name)


def prediction(shapes: Shapes, params: Mapping[str, Any] | None, loaded_as: str = "") -> tuple[str, bool]:
    """(what the network answers with: "epsilon", "v_prediction" or "" for only a probe can tell; zero terminal SNR).

    `params`: `model.params` of the yaml beside the checkpoint, None without one. `loaded_as`: the `parameterization`
    of a network that a host has in memory ("eps", "v"), "" where none is. Keys in the file win over that, that over the
    yaml, the yaml over what the family has by default; the two kinds of Stable Diffusion 2 look the same.
    """
    zero_terminal_snr = "ztsnr" in shapes
    if "v_pred" in shapes:
        return VELOCITY, zero_terminal_snr
    if loaded_as:
        return (VELOCITY if loaded_as == "v" else EPSILON), zero_terminal_snr
    if params:
        return (VELOCITY if _says_velocity(params) else EPSILON), zero_terminal_snr
    return (UNKNOWN if _has(shapes, OPEN_CLIP) else EPSILON), zero_terminal_snr


def _says_velocity(params: Mapping[str, Any]) -> bool:
    """ldm's configurations have `parameterization`, sgm's a class that scales the network's answer."""
    denoiser = mapping(mapping(params.get("denoiser_config")).get("params"))
    scaling = mapping(denoiser.get("scaling_config"))
    return params.get("parameterization") == "v" or "VScaling" in str(scaling.get("target", ""))


def _has(shapes: Shapes, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shapes)


def _foreign(shapes: Shapes) -> str:
    """What a file without a Stable Diffusion UNet looks like, for the message."""
    for key in shapes:
        if key.endswith(f".{FIRST_LAYER}"):
            return text("content.names", prefix=key.removesuffix(FIRST_LAYER))
    found = (what for mark, what in _OTHER_PARTS.items() if any(mark in key for key in shapes))
    return text(f"content.{next(found, 'unknown')}")
