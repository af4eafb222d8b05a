"""The attentions of a UNet in the order in which adapter files number them.

The files follow the order of diffusers: blocks on the way down, blocks on the way up, the middle one last; within a
block self-attention (`attn1`) and cross-attention (`attn2`) take turns. LDM's and SGM's `UNetModel` keep the middle
elsewhere but call the attentions and their projections by the same names.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import nn

from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated

DOWN, MIDDLE, UP = "down", "middle", "up"
_LAYOUTS = (
    ((DOWN, "input_blocks"), (UP, "output_blocks"), (MIDDLE, "middle_block")),
    ((DOWN, "down_blocks"), (UP, "up_blocks"), (MIDDLE, "mid_block")),
)
_SELF, _CROSS = "attn1", "attn2"
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Attention:
    """One attention of a UNet. `part`: "down", "up" or "middle"; `crosses`: whether it looks at the prompt."""

    name: str
    part: str
    crosses: bool
    module: nn.Module

    @property
    def to_q(self) -> nn.Module:
        return self.module.to_q

    @property
    def to_out(self) -> nn.Module:
        """The projection itself; a dropout follows it in the UNet."""
        return self.module.to_out[0]

    def projection(self, name: str) -> nn.Module:
        """`name`: "to_q", "to_k", "to_v" or "to_out", as adapter files say it."""
        return self.to_out if name == "to_out" else getattr(self.module, name)

    @property
    def heads(self) -> int:
        return int(self.module.heads)


def attentions(unet: nn.Module) -> tuple[Attention, ...]:
    """All of them, in the order of the files. Raises BaseUnsupported for a network that is no such UNet."""
    for layout in _LAYOUTS:
        if all(hasattr(unet, attribute) for _, attribute in layout):
            return tuple(_found(unet, layout))
    raise stated(BaseUnsupported, "failure.no_blocks", "remedy.one_or_xl", model=type(unet).__name__)


def cross_attentions(unet: nn.Module) -> tuple[Attention, ...]:
    """Those that look at the prompt, in the order of the files."""
    return tuple(one for one in attentions(unet) if one.crosses)


def numbered(values: Mapping[int, Value], layers: Sequence[Attention], what: str) -> Iterator[tuple[Attention, Value]]:
    """Each layer with its value: by rank of the numbers, because files count 0, 1, 2 ... or 1, 3, 5 ...

    Raises BaseUnsupported where their numbers differ: the file is made for another family. `what`: the file's name.
    """
    if len(values) != len(layers):
        raise stated(
            BaseUnsupported, "failure.attentions", "remedy.adapter_of_family", file=what, found=len(values),
            expected=len(layers),
        )
    return zip(layers, (values[number] for number in sorted(values)), strict=True)


def refuse_misfit(layer: Attention, name: str, inputs: int | None, outputs: int, what: str) -> None:
    """Raises BaseUnsupported where a projection ("to_q", ...) has other widths than `inputs` (None: any), `outputs`.

    Checkpoints of one family may have layers of other widths; without this the first step would fail.
    """
    width_out, width_in = layer.projection(name).weight.shape[:2]
    if outputs != width_out or inputs not in (None, width_in):
        raise stated(BaseUnsupported, "failure.widths", "remedy.standard", file=what, layer=layer.name)


def _found(unet: nn.Module, layout: Iterable[tuple[str, str]]) -> Iterator[Attention]:
    for part, attribute in layout:
        for name, module in getattr(unet, attribute).named_modules(prefix=attribute):
            kind = name.rpartition(".")[2]
            if kind in (_SELF, _CROSS) and hasattr(module, "to_q") and hasattr(module, "to_out"):
                yield Attention(name, part, kind == _CROSS, module)
