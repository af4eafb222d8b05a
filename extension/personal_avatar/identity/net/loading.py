"""Files of IdentityNets in diffusers' layout: safetensors, or pickles that hold nothing but tensors."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from personal_avatar.errors import WeightsCorrupt, WeightsMissing
from personal_avatar.identity.kinds import SAFETENSORS
from personal_avatar.identity.net.network import IdentityNet
from personal_avatar.identity.net.part import NORM_GROUPS, LayoutError, Part, Shapes
from personal_avatar.identity.nouns import Tokens
from personal_avatar.naming import first_line
from personal_avatar.pickles import load_pickle
from personal_avatar.problems import stated

CONFIG = "config.json"


@dataclass(frozen=True)
class _Stored:
    """An open file: shapes of its tensors, and one tensor when it is asked for."""

    shapes: Shapes
    read: Callable[[str], torch.Tensor]


def load_net(path: Path, device: torch.device | str, dtype: torch.dtype) -> IdentityNet:
    """The network of a file, ready to run; each tensor goes from the file to its place on `device` in `dtype`.

    All sizes come from the shapes of the tensors. Heads of the attentions are as many as `config.json` beside the file
    says, if that is of this network; otherwise one for every 64 channels, as in SDXL. Raises `WeightsMissing`,
    `WeightsCorrupt` and, for pickles that hold more than tensors, `BaseUnsupported`.
    """
    if not path.is_file():
        raise stated(WeightsMissing, "failure.net_gone", "remedy.net", file=path.name, place=path.parent)
    try:
        with _opened(path) as stored:
            net = _empty(stored.shapes, _config(path.parent / CONFIG))
            state = {name: stored.read(name).to(device=device, dtype=dtype, copy=True) for name in stored.shapes}
    except (LayoutError, SafetensorError, OSError) as error:
        raise stated(WeightsCorrupt, "failure.no_net", "remedy.net", file=path.name, cause=error) from None
    net.load_state_dict(state, assign=True)
    return net.requires_grad_(False).eval()


@contextmanager
def _opened(path: Path) -> Iterator[_Stored]:
    if path.suffix.lower() == SAFETENSORS:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            names = file.keys()
            yield _Stored({name: tuple(file.get_slice(name).get_shape()) for name in names}, file.get_tensor)
        return
    tensors = load_pickle(path, "cpu")
    yield _Stored({name: tuple(tensor.shape) for name, tensor in tensors.items()}, tensors.pop)


def _empty(shapes: Shapes, config: Mapping[str, Any]) -> IdentityNet:
    """A network of these shapes without weights. Raises `LayoutError` for what is missing, left over or at odds."""
    widths = _widths(shapes)
    fits = config.get("_class_name") == "ControlNetModel" and list(config.get("block_out_channels", ())) == widths
    groups = config.get("norm_num_groups") if fits else None
    with torch.device("meta"):
        net = IdentityNet(Part(shapes, groups=groups or NORM_GROUPS), _heads(config, len(widths)) if fits else None)
        _compare(shapes, {name: tuple(weight.shape) for name, weight in net.named_parameters()})
        _try_out(net)
    return net


def _widths(shapes: Shapes) -> list[int]:
    return [one.shape("resnets.0.conv1.weight")[0] for one in Part(shapes).parts("down_blocks")]


def _heads(config: Mapping[str, Any], blocks: int) -> list[int] | None:
    """diffusers calls the number of heads `attention_head_dim`, unless the other name has it."""
    heads = config.get("num_attention_heads") or config.get("attention_head_dim")
    each = [heads] * blocks if isinstance(heads, int) else heads
    return each if isinstance(each, list) and all(isinstance(one, int) and one > 0 for one in each) else None


def _compare(stored: Shapes, wanted: Shapes) -> None:
    for names, fault in ((wanted.keys() - stored.keys(), "missing"), (stored.keys() - wanted.keys(), "not known")):
        if names:
            raise LayoutError(f"{len(names)} tensors are {fault}, such as {min(names)}")
    at_odds = [name for name, shape in wanted.items() if shape != stored[name]]
    if at_odds:
        raise LayoutError(f"{at_odds[0]} has the shape {stored[at_odds[0]]}, not {wanted[at_odds[0]]}")


def _try_out(net: IdentityNet) -> None:
    """Shapes alone go through the network: is every layer as wide as the one before it makes its features?"""
    one_row, tokens = torch.empty(1), torch.empty(1, 1, net.token_width)
    try:
        hint, context = net.hint(torch.empty(1, 3, 64, 64)), net.context([(Tokens(tokens, tokens), None)])
        net.residuals(torch.empty(1, 4, 8, 8), one_row, torch.empty(1, net.label_width), hint, context, (True,))
    except (RuntimeError, ValueError, IndexError) as error:
        raise LayoutError(f"its layers do not fit together: {first_line(error)}") from None


def _config(path: Path) -> Mapping[str, Any]:
    """What diffusers wrote beside the weights; empty when there is nothing readable."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
