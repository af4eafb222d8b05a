"""What a checkpoint file is, by the names and shapes of its tensors; no weights are read, no torch for safetensors."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from personal_avatar.domain import Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported

Shapes = dict[str, tuple[int, ...]]

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_L = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
CONDITIONER = "conditioner.embedders."
MAX_HEADER_BYTES = 64 * 2**20


def read_shapes(path: Path) -> Shapes:
    """Name -> shape of every tensor of a checkpoint. Raises `BaseNotFound`, `BaseUnsupported`."""
    if not path.is_file():
        raise BaseNotFound(f"There is no checkpoint at {path}.")
    return _header_shapes(path) if path.suffix == ".safetensors" else _pickle_shapes(path)


def _header_shapes(path: Path) -> Shapes:
    """The header of a safetensors file: 8 bytes little-endian length, then JSON."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError("its header is too long")
            header = json.loads(file.read(length))
        return {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseUnsupported(
            f"{path.name} is not a readable safetensors file ({error}).", "Download it again."
        ) from None


def _pickle_shapes(path: Path) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in load_pickle(path, "meta").items()}


def load_pickle(path: Path, device: str) -> dict:
    """Tensors of a .ckpt/.pt file; nothing but tensors is unpickled. Raises `BaseUnsupported` otherwise."""
    import pickle

    import torch

    try:
        data = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise BaseUnsupported(
            f"{path.name} cannot be read as plain tensors ({str(error).splitlines()[0][:120]}).",
            "Convert it to safetensors and choose that file.",
        ) from None
    state = data.get("state_dict", data)
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def detect(shapes: Shapes, name: str = "The checkpoint") -> Family:
    """The architecture. Raises `BaseUnsupported` for what is not a text-to-image Stable Diffusion of LDM layout."""
    first = shapes.get(UNET + "input_blocks.0.0.weight")
    if first is None:
        raise BaseUnsupported(f"{name} is {_foreign(shapes)}, not a Stable Diffusion checkpoint in one file.")
    if first[1] != 4:
        raise BaseUnsupported(f"{name} takes {first[1]} channels: it is made for inpainting or editing.")
    if any(key.startswith(CONDITIONER) for key in shapes):
        return Family.SDXL
    if any(key.startswith(OPEN_CLIP) for key in shapes):
        return Family.SD2
    if not any(key.startswith(CLIP_L) for key in shapes):
        raise BaseUnsupported(
            f"{name} has no text encoder in it.", "Choose a full checkpoint, not one of the UNet alone."
        )
    return Family.SD1


def _foreign(shapes: Shapes) -> str:
    """What a file without a Stable Diffusion UNet looks like, for the message."""
    marks = {
        "double_blocks.": "a Flux model",
        "joint_blocks.": "a Stable Diffusion 3 model",
        "lora_up.weight": "a LoRA",
        "lora_B.weight": "a LoRA",
        "down_blocks.": "in diffusers layout",
    }
    return next((what for mark, what in marks.items() if any(mark in key for key in shapes)), "of an unknown kind")
