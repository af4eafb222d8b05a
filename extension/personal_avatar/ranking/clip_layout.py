"""Both halves of CLIP from a file in either layout, as transformers names them; sizes are read off the shapes.

OpenAI's files and open_clip's have the same names; files of transformers have a `config.json` beside them, which says
what no shape tells: the number of heads and the kind of GELU.
"""
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar import pickles
from personal_avatar.errors import BaseUnsupported, WeightsCorrupt
from personal_avatar.problems import stated
from personal_avatar.ranking.scripted import is_scripted, read_scripted

if TYPE_CHECKING:
    import torch

HEAD_WIDTH = 64
WIDER_HEADS = {1280: 16, 1664: 16}  # of the seeing half of ViT-H and ViT-bigG, which are 80 and 104 wide
QUICK, EXACT = "quick_gelu", "gelu"
SAFETENSORS = ".safetensors"
_OPEN = (  # open_clip's names -> those of transformers; {0}: the number of the layer
    (r"visual\.conv1\.(.*)", "vision_model.embeddings.patch_embedding.{0}"),
    (r"visual\.class_embedding", "vision_model.embeddings.class_embedding"),
    (r"visual\.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    (r"visual\.ln_pre\.(.*)", "vision_model.pre_layrnorm.{0}"),
    (r"visual\.ln_post\.(.*)", "vision_model.post_layernorm.{0}"),
    (r"token_embedding\.(.*)", "text_model.embeddings.token_embedding.{0}"),
    (r"positional_embedding", "text_model.embeddings.position_embedding.weight"),
    (r"ln_final\.(.*)", "text_model.final_layer_norm.{0}"),
    (r"logit_scale", "logit_scale"),
)
_TURNED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
_LAYER = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.*)")
_IN_LAYER = {
    "attn.out_proj.": "self_attn.out_proj.", "mlp.c_fc.": "mlp.fc1.", "mlp.c_proj.": "mlp.fc2.",
    "ln_1.": "layer_norm1.", "ln_2.": "layer_norm2.",
}


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """(tensors by the names of transformers, arguments of its CLIPConfig). Raises `WeightsCorrupt`."""
    tensors = _tensors(path)
    scripted = "visual.proj" in tensors
    try:
        named = dict(_renamed(tensors)) if scripted else tensors
        return named, _sizes(named, path, _activation(path) if scripted else QUICK)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        values = {"file": path.name, "path": path, "cause": error}
        raise stated(WeightsCorrupt, "failure.other_clip", "remedy.remove_it", **values) from None


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix.lower() == SAFETENSORS:
            return dict(load_file(path))
        return read_scripted(path) if is_scripted(path) else pickles.load_pickle(path, "cpu")
    except (SafetensorError, BaseUnsupported, OSError) as error:
        values = {"file": path.name, "cause": error, "path": path}
        raise stated(WeightsCorrupt, "failure.unreadable_file", "remedy.get_again", **values) from None


def _activation(path: Path) -> str:
    """OpenAI trained with the quick GELU, open_clip without, unless the file's name says so."""
    return QUICK if is_scripted(path) or "quickgelu" in path.stem.lower().replace("-", "") else EXACT


def _renamed(tensors: Mapping[str, torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in tensors.items():
        if name in _TURNED:
            yield _TURNED[name], tensor.T.contiguous()
        elif match := _LAYER.fullmatch(name):
            half = "vision_model" if match[1] else "text_model"
            yield from _of_layer(f"{half}.encoder.layers.{match[2]}.", match[3], tensor)
        else:
            for pattern, new in _OPEN:
                if match := re.fullmatch(pattern, name):
                    yield new.format(*match.groups()), tensor


def _of_layer(prefix: str, name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """open_clip keeps query, key and value of a layer in one tensor."""
    if name.startswith("attn.in_proj_"):
        for part, piece in zip("qkv", tensor.chunk(3), strict=True):
            yield f"{prefix}self_attn.{part}_proj.{name.removeprefix('attn.in_proj_')}", piece.contiguous()
    for old, new in _IN_LAYER.items():
        if name.startswith(old):
            yield prefix + new + name.removeprefix(old), tensor


def _sizes(tensors: Mapping[str, torch.Tensor], path: Path, activation: str) -> dict[str, Any]:
    width, _, patch, _ = tensors["vision_model.embeddings.patch_embedding.weight"].shape
    places = tensors["vision_model.embeddings.position_embedding.weight"].shape[0] - 1
    words, text_width = tensors["text_model.embeddings.token_embedding.weight"].shape
    said = _said(path)
    vision = {"image_size": patch * math.isqrt(places), "patch_size": patch}
    vision |= _half(tensors, "vision_model", width, said.get("vision_config", {}), activation)
    text = {"vocab_size": words,
            "max_position_embeddings": tensors["text_model.embeddings.position_embedding.weight"].shape[0]}
    text |= _half(tensors, "text_model", text_width, said.get("text_config", {}), activation)
    return {"vision_config": vision, "text_config": text,
            "projection_dim": tensors["visual_projection.weight"].shape[0]}


def _half(
    tensors: Mapping[str, torch.Tensor], half: str, width: int, said: Mapping[str, Any], activation: str
) -> dict[str, Any]:
    beginning = f"{half}.encoder.layers."
    layers = {name.removeprefix(beginning).split(".")[0] for name in tensors if name.startswith(beginning)}
    heads = WIDER_HEADS.get(width, max(1, width // HEAD_WIDTH)) if half == "vision_model" else width // HEAD_WIDTH
    return {
        "hidden_size": width, "intermediate_size": tensors[f"{beginning}0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": len(layers), "num_attention_heads": int(said.get("num_attention_heads", heads)),
        "hidden_act": str(said.get("hidden_act", activation)),
        "projection_dim": tensors["text_projection.weight"].shape[0],
    }


def _said(path: Path) -> dict[str, Any]:
    try:
        said = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        return dict(said) if said.get("model_type") == "clip" else {}
    except (OSError, ValueError, AttributeError):
        return {}
