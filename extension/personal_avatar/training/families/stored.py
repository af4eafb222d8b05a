"""Where each tensor of a loaded module is in the checkpoint file.

A place is the name of a tensor in the file; OpenCLIP joins query, key and value in one tensor, so `name:q`, `name:k`
and `name:v` are its thirds, and multiplies by its projection from the right, so `name:T` is the transposed tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from personal_avatar.training.families.detect import UNET

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.families.files import Weights

THIRDS = ("q", "k", "v")
TRANSPOSED = "T"
Places = dict[str, str]  # tensor of the module -> place in the file

_OPEN_CLIP_PLACES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": f"text_projection:{TRANSPOSED}",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_LAYERS = "text_model.encoder.layers."
_SAID_BY_WEBUI = ("conditioner.embedders.", "cond_stage_model.", "model.")  # it counts names from below these


def name_of(place: str) -> str:
    """The tensor in the file that a place is (in)."""
    return place.partition(":")[0]


def take(weights: Mapping[str, torch.Tensor], place: str) -> torch.Tensor:
    """The tensor at a place, in memory of its own if it is a part. Raises `KeyError` when it is not there."""
    name, _, part = place.partition(":")
    tensor = weights[name]
    if part in THIRDS:
        return tensor.chunk(len(THIRDS))[THIRDS.index(part)].clone()
    return tensor.T.contiguous() if part == TRANSPOSED else tensor


def join(found: Mapping[str, torch.Tensor]) -> Weights:
    """Place -> tensor turned into tensors of the file. Raises `KeyError` when a third is missing."""
    import torch

    joined = {}
    for place, tensor in found.items():
        name, _, part = place.partition(":")
        if part in THIRDS:
            if name not in joined:
                joined[name] = torch.cat([found[f"{name}:{third}"] for third in THIRDS])
        else:
            joined[name] = (tensor.T if part == TRANSPOSED else tensor).contiguous()
    return joined


def unet_places(names: Iterable[str], config: Mapping[str, object]) -> Places:
    """Places of diffusers' UNet of `config` in a checkpoint with tensors `names`."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    # It only hands values on, so that names in the place of tensors come out under their new names.
    return dict(convert_ldm_unet_checkpoint({name: name for name in names if name.startswith(UNET)}, config))


def clip_places(module_names: Iterable[str], prefix: str) -> Places:
    """Places of transformers' CLIP text model; `prefix` stands for its `text_model.`."""
    return {name: prefix + name.removeprefix("text_model.") for name in module_names}


def open_clip_places(module_names: Iterable[str], prefix: str) -> Places:
    """Places of transformers' CLIP text model in an OpenCLIP one, whose tensors begin with `prefix`."""
    return {name: prefix + _open_clip_place(name) for name in module_names}


def _open_clip_place(name: str) -> str:
    if name in _OPEN_CLIP_PLACES:
        return _OPEN_CLIP_PLACES[name]
    number, _, rest = name.removeprefix(_LAYERS).partition(".")
    module, _, kind = rest.rpartition(".")
    block = f"transformer.resblocks.{number}."
    if module in _OPEN_CLIP_LAYER:
        return f"{block}{_OPEN_CLIP_LAYER[module]}.{kind}"
    letter = module.removeprefix("self_attn.").removesuffix("_proj")
    return f"{block}attn.in_proj_{kind}:{letter}"


def webui_weight_name(place: str) -> str:
    """Name that the WebUI's LoRA code gives to the module whose weight is at `place`."""
    name, _, third = place.partition(":")
    if third:
        name = name.replace(".in_proj_weight", f".{third}_proj")
    root = next((start for start in _SAID_BY_WEBUI if name.startswith(start)), "")
    name = name.removeprefix(root).removesuffix(".weight")
    if name.startswith("transformer.") and not name.startswith("transformer.text_model."):
        name = "transformer.text_model." + name.removeprefix("transformer.")  # names of very old files
    return name.replace(".", "_")
