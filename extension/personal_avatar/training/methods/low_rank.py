"""Layers with their LoRA in as few passes over memory as there can be: x W' + b + s (x A') B'.

peft's own layers make five tensors of the size of the answer where one is enough, and as many again on the way back; in
half precision that costs a seventh of a step and more, of one with convolutions another tenth. The numbers are the same
but for the rounding, which is less.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora import layer as peft_layer
from torch.autograd.function import once_differentiable

from personal_avatar.training.families import halves


class _Product(torch.autograd.Function):
    """`inputs` (..., in) and `bias` (out) in the number format of the products, `weight` (out, in) frozen; this one,
    and `down` (rank, in) and `up` (out, rank), which are trained, may be in another, as their gradients are then."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        rows = inputs.reshape(-1, inputs.shape[-1])
        small, large = down.to(rows.dtype), up.to(rows.dtype)
        inner = rows.mm(small.t())
        # As the bare layer does it, to the last bit.
        found = torch.nn.functional.linear(inputs, weight.to(rows.dtype), bias)
        found.view(-1, found.shape[-1]).addmm_(inner, large.t(), alpha=scale)
        ctx.save_for_backward(rows, inner, weight, small, large)
        ctx.scale, ctx.shape, ctx.dtype = scale, inputs.shape, down.dtype
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, ...]:
        rows, inner, weight, small, large = ctx.saved_tensors
        given = gradient.reshape(-1, gradient.shape[-1])
        through = given.mm(large).mul_(ctx.scale)
        of_down = through.t().mm(rows).to(ctx.dtype)
        of_up = given.t().mm(inner).to(ctx.dtype).mul_(ctx.scale)
        of_inputs = None
        if ctx.needs_input_grad[0]:
            of_inputs = given.mm(weight.to(given.dtype)).addmm_(through, small).view(ctx.shape)
        return of_inputs, None, None, of_down, of_up, None


class Plain(peft_layer.Linear):
    """peft's own, but that its products begin in fp32, in which they are trained, also where the frozen weight of a
    text encoder lies in half precision: its start is not rounded."""

    def _get_base_layer_device_and_dtype(self, base_layer: torch.nn.Module) -> tuple[Any, Any]:
        device, dtype = super()._get_base_layer_device_and_dtype(base_layer)
        return device, torch.float32 if isinstance(base_layer, halves.Linear) else dtype


class Linear(Plain):
    """One adapter, without dropout, that is never merged: all that a training has."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        (adapter,) = self.active_adapters
        base, scale = self.base_layer, self.scaling[adapter]
        if scale == 0:
            return base(x)
        down, up = self.lora_A[adapter].weight, self.lora_B[adapter].weight
        inputs = x if isinstance(base, halves.Linear) else x.to(base.weight.dtype)
        return _Product.apply(inputs, base.weight, base.bias, down, up, scale)


class Conv2d(peft_layer.Conv2d):
    """The same for a convolution of one group: what goes up again is a product at each place."""

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        (adapter,) = self.active_adapters
        base, scale = self.base_layer, self.scaling[adapter]
        found = base(x)
        if scale == 0:
            return found
        down, up = self.lora_A[adapter], self.lora_B[adapter].weight.flatten(1).to(found.dtype)
        inner = torch.nn.functional.conv2d(
            x.to(found.dtype), down.weight.to(found.dtype), None, down.stride, down.padding, down.dilation
        )
        ups = up.expand(len(found), *up.shape)
        return torch.baddbmm(found.flatten(2), ups, inner.flatten(2), alpha=scale).view_as(found)
