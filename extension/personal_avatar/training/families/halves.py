"""Layers whose weights may lie in half precision, as their file has them, and that answer in fp32 all the same.

Half precision is part of fp32, so that nothing is rounded and every answer is what weights held in fp32 would give, to
the last bit. A weight is widened where it is needed and forgotten again, on the way back once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable


class _Product(torch.autograd.Function):
    """`inputs` (..., in) times a frozen `weight` (out, in), and `bias` (out), in the number format of the inputs. What
    is kept for the way back is the weight as it lies."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(weight)
        return nn.functional.linear(inputs, weight.to(inputs.dtype), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        return rows.mm(weight.to(gradient.dtype)).view(*gradient.shape[:-1], -1), None, None


class Linear(nn.Linear):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if self.weight.dtype == inputs.dtype:  # as where it is trained
            return super().forward(inputs)
        found: torch.Tensor = _Product.apply(inputs, self.weight, self.bias)
        return found


class Table(nn.Embedding):
    """Of words, or of positions."""

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return super().forward(ids).float()


KINDS: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: Linear, nn.Embedding: Table}


def take_halves(module: nn.Module) -> None:
    """From now on its products and tables may lie in half precision."""
    for layer in module.modules():
        layer.__class__ = KINDS.get(type(layer), type(layer))


def may_be_half(module: nn.Module) -> Iterator[str]:
    """Names of the weights that `take_halves` made way for."""
    for path, layer in module.named_modules():
        if isinstance(layer, Linear | Table):
            yield f"{path}.weight"
