"""CLIP's seeing half, for adapters that also look at the structure of a face: aligned crops in, states of patches out.

Built from the shapes in the file with the classes of transformers, so that any version that a host has will do. The
last layer is left out: what the adapters were trained on is what comes before it.
"""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from personal_avatar import pickles
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt
from personal_avatar.identity.kinds import SAFETENSORS
from personal_avatar.naming import first_line
from personal_avatar.problems import stated

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
HEADS = 16  # of ViT-L, ViT-H and ViT-bigG; no shape tells
ROOT = "vision_model."


class ClipVision:
    """Call it from one thread at a time. `network`: transformers' CLIPVisionModel without its last layer."""

    def __init__(self, network: Any) -> None:
        self._network = network

    @torch.no_grad()
    def __call__(self, crops: np.ndarray | None) -> torch.Tensor:
        """uint8 RGB (n, 224, 224, 3) -> (n, 257, 1280) in the network's dtype, where it lies.

        None stands for a picture of zeros after normalisation, which adapters know as "nobody".
        """
        weight = self._network.vision_model.embeddings.patch_embedding.weight
        pixels = pixels_of(crops, self._network.config.image_size).to(weight.device, weight.dtype)
        states: torch.Tensor = self._network(pixel_values=pixels).last_hidden_state
        return states

    def to(self, device: torch.device | str) -> ClipVision:
        """Move it, as into the machine's memory while a UNet samples."""
        self._network.to(device)
        return self


def pixels_of(crops: np.ndarray | None, side_px: int) -> torch.Tensor:
    """float32 (n, 3, height, width) with CLIP's mean and deviation taken out, as CLIPImageProcessor does."""
    if crops is None:
        return torch.zeros(1, 3, side_px, side_px)
    values = torch.from_numpy(np.ascontiguousarray(crops)).permute(0, 3, 1, 2).float() / 255
    return (values - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def load(path: Path, device: torch.device | str, dtype: torch.dtype) -> ClipVision:
    """`model.safetensors`, or a pickle such as the ControlNet extension's `clip_h.pth`, in the layout of transformers.

    Half precision is not used on a processor. Raises `WeightsCorrupt`.
    """
    tensors = {name: one for name, one in _read(path).items() if name.startswith(ROOT)}
    used = torch.float32 if torch.device(device).type == "cpu" else dtype
    try:
        config = _config(tensors, path)
        network = _built(config, tensors, used)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise stated(
            WeightsCorrupt, "failure.no_clip", "remedy.get_again", file=path.name, cause=first_line(error, 120),
            path=path,
        ) from None
    return ClipVision(network.to(device))


def _read(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path) if path.suffix.lower() == SAFETENSORS else pickles.load_pickle(path, "cpu")
    except (SafetensorError, BaseUnsupported, OSError) as error:
        raise stated(
            WeightsCorrupt, "failure.unreadable_file", "remedy.get_again", file=path.name, cause=error, path=path,
        ) from None


def _config(tensors: dict[str, torch.Tensor], path: Path) -> Any:
    """Sizes from the shapes; what no shape tells from `config.json` beside the file, if it is of this network."""
    from transformers import CLIPVisionConfig

    width, _, patch, _ = tensors[f"{ROOT}embeddings.patch_embedding.weight"].shape
    positions = tensors[f"{ROOT}embeddings.position_embedding.weight"].shape[0]
    said = _said(path, width)
    return CLIPVisionConfig(
        hidden_size=width, intermediate_size=tensors[f"{ROOT}encoder.layers.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=_layers(tensors) - 1, num_attention_heads=int(said.get("num_attention_heads", HEADS)),
        image_size=patch * math.isqrt(positions - 1), patch_size=patch, hidden_act=str(said.get("hidden_act", "gelu")),
    )


def _layers(tensors: dict[str, torch.Tensor]) -> int:
    beginning = f"{ROOT}encoder.layers."
    return 1 + max(int(name.removeprefix(beginning).split(".")[0]) for name in tensors if name.startswith(beginning))


def _said(path: Path, width: int) -> dict[str, Any]:
    try:
        said = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        said = said.get("vision_config", said)
        return dict(said) if said.get("hidden_size") == width else {}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _built(config: Any, tensors: dict[str, torch.Tensor], dtype: torch.dtype) -> Any:
    """The network with the tensors themselves as its weights: nothing is initialised or copied twice."""
    from transformers import CLIPVisionModel

    with torch.device("meta"):
        network = CLIPVisionModel(config)
    wanted = network.state_dict()
    network.load_state_dict(
        {name: one.to(dtype) if one.is_floating_point() else one for name, one in tensors.items() if name in wanted},
        assign=True, strict=False,
    )
    embeddings = network.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.position_embedding.weight.shape[0])[None]
    unfilled = [name for name, one in network.state_dict().items() if one.is_meta]
    if unfilled:
        raise KeyError(f"it lacks {unfilled[0]}")
    return network.eval().requires_grad_(False)
