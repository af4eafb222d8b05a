"""What a checkpoint file is, by the names and shapes of its tensors; no weights are read, no torch for safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personal_avatar.domain import Family
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.families.files import Shapes as Shapes
from personal_avatar.training.families.files import load_pickle as load_pickle
from personal_avatar.training.families.files import read_shapes as read_shapes
from personal_avatar.training.families.sidecar import mapping

UNET = "model.diffusion_model."
FIRST_LAYER = f"{UNET}input_blocks.0.0.weight"
VAE = "first_stage_model."
CLIP_L = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
XL_CLIP_L = "conditioner.embedders.0.transformer."
XL_OPEN_CLIP = "conditioner.embedders.1.model."
WEIGHTS = (UNET, VAE, CLIP_L, OPEN_CLIP, XL_CLIP_L, XL_OPEN_CLIP)
EPSILON, VELOCITY, UNKNOWN = "epsilon", "v_prediction", ""
CHANNELS, INPAINTING_CHANNELS = 4, 9

_TEXT_ENCODERS = ("cond_stage_model.", "conditioner.embedders.")
_UNCLIP = ("embedder.", "noise_augmentor.")
_EDM = {"edm_mean": "Playground v2.5", "edm_std": "Playground v2.5", "edm_vpred.": "CosXL"}
_VIDEO = (".time_stack.", ".time_mixer.", "temporal_transformer_blocks.")
_OTHER_INPUTS = {5: "a depth model", 7: "an upscaler", 8: "an editing model (InstructPix2Pix)"}
_OTHER_PARTS = {
    "model_ema.": "a checkpoint of averaged weights alone (model_ema)",
    "double_blocks.": "a Flux model",
    "joint_blocks.": "a Stable Diffusion 3 model",
    "lora_up.weight": "a LoRA",
    "lora_B.weight": "a LoRA",
    "lora_linear_layer.up.": "a LoRA",
    ".lora.up.": "a LoRA",
    "_lora.up.": "a LoRA",
    "hada_w1": "a LoRA",
    "lokr_w": "a LoRA",
    "oft_": "a LoRA",
    "lora_unet_": "a LoRA",
    "lora_te": "a LoRA",
    "lycoris_": "a LoRA",
    "string_to_param": "an embedding",
    "emb_params": "an embedding",
    "clip_g": "an embedding",
    "control_model.": "a ControlNet",
    "controlnet_": "a ControlNet",
    "zero_convs.": "a ControlNet",
    "input_hint_block.": "a ControlNet",
    "ip_adapter.": "an IP-Adapter",
    "motion_modules.": "a motion module of AnimateDiff",
    "single_transformer_blocks.": "a Flux model",
    "input_blocks.0.0.weight": "a UNet alone",
    "down_blocks.": "in diffusers layout",
    "transformer_blocks.": "a transformer (Stable Diffusion 3, PixArt or another one)",
    "decoder.conv_in.weight": "a VAE",
    "text_model.": "a text encoder",
}


def detect(shapes: Shapes, name: str = "The checkpoint") -> Family:
    """The architecture. Raises `BaseUnsupported` for what is not a text-to-image Stable Diffusion of LDM layout."""
    _refuse_video(shapes, name)
    first = shapes.get(FIRST_LAYER)
    if first is None:
        raise BaseUnsupported(f"{name} is {_foreign(shapes)}, not a Stable Diffusion checkpoint in one file.")
    if len(first) < 2:
        raise BaseUnsupported(f"{name} has an odd first layer: it is damaged, or of no known kind.")
    if first[1] not in (CHANNELS, INPAINTING_CHANNELS):
        what = _OTHER_INPUTS.get(first[1], "of an unknown kind")
        raise BaseUnsupported(f"{name} is {what}: its network takes {first[1]} channels, not 4 or 9.")
    _refuse_edm(shapes, name)
    if _has(shapes, XL_OPEN_CLIP) and _has(shapes, XL_CLIP_L):
        return Family.SDXL
    if _has(shapes, "conditioner.embedders.0.model."):
        raise BaseUnsupported(f"{name} is the refiner of Stable Diffusion XL.", "Choose the base model.")
    if not any(_has(shapes, prefix) for prefix in (*_TEXT_ENCODERS, *_UNCLIP)):
        raise _without_text(shapes, name)
    if _has(shapes, UNET + "label_emb."):
        raise BaseUnsupported(f"{name} takes pictures or sizes beside text (unCLIP), or lacks a text encoder of SDXL.")
    return _by_text_encoder(shapes, name)


def _refuse_video(shapes: Shapes, name: str) -> None:
    """Such a network takes as many channels as one that edits pictures."""
    if any(mark in key for key in shapes for mark in _VIDEO):
        raise BaseUnsupported(f"{name} is Stable Video Diffusion, which makes videos of a picture.")


def _refuse_edm(shapes: Shapes, name: str) -> None:
    """Such files differ from those of Stable Diffusion XL in a few numbers beside the network."""
    for mark, model in _EDM.items():
        if _has(shapes, mark):
            raise BaseUnsupported(
                f"{name} is {model} or made from it: it was trained on another schedule of noise (EDM).",
                "Choose Stable Diffusion XL 1.0 or a checkpoint made from it.",
            )


def _by_text_encoder(shapes: Shapes, name: str) -> Family:
    if _has(shapes, OPEN_CLIP):
        return Family.SD2
    if not _has(shapes, CLIP_L):
        raise _without_text(shapes, name)
    return Family.SD1


def _without_text(shapes: Shapes, name: str) -> BaseUnsupported:
    lacks = "has no text encoder in it" if _has(shapes, VAE) else "is a UNet alone: it has no text encoder and no VAE"
    return BaseUnsupported(f"{name} {lacks}.", "Choose a full checkpoint, not one of the UNet alone.")


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


def is_inpainting(shapes: Shapes) -> bool:
    """Whether the network wants a mask and a masked picture beside the noise."""
    return shapes[FIRST_LAYER][1] == INPAINTING_CHANNELS


def _has(shapes: Shapes, prefix: str) -> bool:
    return any(key.startswith(prefix) for key in shapes)


def _foreign(shapes: Shapes) -> str:
    """What a file without a Stable Diffusion UNet looks like, for the message."""
    for key in shapes:
        if key.endswith(f".{FIRST_LAYER}"):
            return f"saved under other names ({key.removesuffix(FIRST_LAYER)}...)"
    found = (what for mark, what in _OTHER_PARTS.items() if any(mark in key for key in shapes))
    return next(found, "of an unknown kind")
