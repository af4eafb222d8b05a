"""The LoRA inside FaceID files, on every attention of a UNet, by forward hooks: no weight is touched."""
from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from personal_avatar.identity.calls import Call
from personal_avatar.identity.layers import Attention

Pair = tuple[Tensor, Tensor]  # down (rank, in), up (out, rank)


class LowRank:
    """`out + weight * up(down(in))` for one linear layer, in the dtype and on the device of its input."""

    def __init__(self, pair: Pair, weight: float, call: Call) -> None:
        self._pair = self._here = pair
        self._weight = weight
        self._call = call

    def enter(self, layer: nn.Module, stack: ExitStack) -> None:
        """Runs before other hooks of the layer: they see its output as if the LoRA were part of it."""
        stack.callback(layer.register_forward_hook(self._add, prepend=True).remove)

    def _add(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        if self._call.rows is None:
            return None
        given = args[0]
        down, up = self._on(given)
        return output + (functional.linear(functional.linear(given, down), up) * self._weight).to(output.dtype)

    def _on(self, given: Tensor) -> Pair:
        """The pair beside `given`; kept, because the next step asks again."""
        down, up = self._here
        if (down.device, down.dtype) != (given.device, given.dtype):
            with torch.no_grad():
                down, up = (one.to(given.device, given.dtype) for one in self._pair)
            self._here = (down, up)
        return down, up


def enter(layer: Attention, pairs: Mapping[str, Pair], weight: float, call: Call, stack: ExitStack) -> None:
    """Put the pairs of one attention ("to_q", "to_k", "to_v", "to_out") onto its projections until `stack` closes."""
    for name, pair in pairs.items():
        LowRank(pair, weight, call).enter(layer.projection(name), stack)
