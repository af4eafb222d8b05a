"""How a UNet is called, and where residuals of the IdentityNet go into it.

`UNetModel` of LDM and SGM takes no residuals: hooks on its blocks add them, so that others may replace
its `forward`. diffusers' UNet takes them as arguments.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Residuals:
    """`skips` in the order in which the UNet stores its skip connections; weighted."""

    skips: Sequence[Tensor]
    middle: Tensor


@dataclass(frozen=True, eq=False)
class Given:
    """What a UNet is called with. `latents`: (n, channels, height, width); `timesteps`: (n,); `y`: SDXL's label
    (n, width) of pooled text and sizes, None elsewhere."""

    latents: Tensor
    timesteps: Tensor
    y: Tensor | None


class Entrance(Protocol):
    """A layout of UNets: how its arguments are read, and where residuals go in."""

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
        """The arguments of a call."""

    def enter(self, stack: ExitStack) -> None:
        """Hook what is needed until `stack` closes."""

    def put(self, residuals: Residuals | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Let the coming call add `residuals` (None: nothing); the keyword arguments to call with."""


def entrance(unet: nn.Module) -> Entrance:
    return BlocksEntrance(unet) if hasattr(unet, "input_blocks") else ArgumentsEntrance(unet)


class BlocksEntrance:
    """LDM and SGM: `forward(x, timesteps, context, y)`."""

    def __init__(self, unet: nn.Module) -> None:
        self._unet = unet
        self._residuals: Residuals | None = None

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
        latents, timesteps = _argument(args, kwargs, 0, "x"), _argument(args, kwargs, 1, "timesteps")
        return Given(latents, timesteps, _argument(args, kwargs, 3, "y"))

    def enter(self, stack: ExitStack) -> None:
        stack.callback(self.put, None, {})
        stack.callback(self._unet.middle_block.register_forward_hook(self._add_middle).remove)
        for place, block in enumerate(reversed(self._unet.output_blocks)):
            stack.callback(block.register_forward_pre_hook(self._adding(place)).remove)

    def put(self, residuals: Residuals | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        self._residuals = residuals
        return kwargs

    def _add_middle(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        return None if self._residuals is None else output + self._residuals.middle.to(output)

    def _adding(self, place: int) -> Any:
        """The hook of the block that takes the skip connection number `place`: they are its input's last channels."""

        def add(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
            if self._residuals is None:
                return None
            joined, residual = args[0], self._residuals.skips[place].to(args[0])
            above, skip = joined.split((joined.shape[1] - residual.shape[1], residual.shape[1]), dim=1)
            return (torch.cat((above, skip + residual), dim=1), *args[1:])

        return add


class ArgumentsEntrance:
    """diffusers: `forward(sample, timestep, encoder_hidden_states, ..., added_cond_kwargs=..., ...)`."""

    def __init__(self, unet: nn.Module) -> None:
        self._unet = unet

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Given:
        latents, timestep = _argument(args, kwargs, 0, "sample"), _argument(args, kwargs, 1, "timestep")
        timesteps = torch.as_tensor(timestep, device=latents.device).reshape(-1).expand(len(latents))
        return Given(latents, timesteps, self._label(kwargs.get("added_cond_kwargs") or {}))

    def enter(self, stack: ExitStack) -> None:
        """Nothing to hook: `put` returns the arguments."""

    def put(self, residuals: Residuals | None, kwargs: dict[str, Any]) -> dict[str, Any]:
        if residuals is None:
            return kwargs
        skips, middle = "down_block_additional_residuals", "mid_block_additional_residual"
        there, in_the_middle = kwargs.get(skips), kwargs.get(middle)
        if there is None or in_the_middle is None:
            return {**kwargs, skips: tuple(residuals.skips), middle: residuals.middle}
        added = (one + new.to(one) for one, new in zip(there, residuals.skips, strict=True))
        return {**kwargs, skips: tuple(added), middle: in_the_middle + residuals.middle.to(in_the_middle)}

    def _label(self, added: Mapping[str, Tensor]) -> Tensor | None:
        """The label as SGM has it: pooled text, then the waves of the six sizes."""
        if "text_embeds" not in added:
            return None
        text, sizes = added["text_embeds"], added["time_ids"]
        waves = self._unet.add_time_proj(sizes.flatten()).reshape(len(text), -1)
        return torch.cat((text, waves.to(text)), dim=-1)


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else kwargs.get(name)
