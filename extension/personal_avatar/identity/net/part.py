"""Layers made to fit the tensors of a file: their names and shapes are all that there is to know about a network."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn

Shapes = Mapping[str, tuple[int, ...]]

HEAD_WIDTH = 64  # of all SDXL networks
NORM_GROUPS = 32


class LayoutError(Exception):
    """The names and shapes are not those of such a network; says which."""


@dataclass(frozen=True)
class Part:
    """The tensors of `shapes` whose names begin with `prefix`, which ends in a dot or is empty.

    `heads`: of the attentions in here; None: as many as there are 64 channels in them, at least one.
    """

    shapes: Shapes
    prefix: str = ""
    groups: int = NORM_GROUPS
    heads: int | None = None

    def part(self, *names: str | int, heads: int | None = None) -> Part:
        """What lies below these names."""
        prefix = self.prefix + "".join(f"{name}." for name in names)
        return replace(self, prefix=prefix, heads=heads or self.heads)

    def has(self, name: str) -> bool:
        return self.prefix + name in self.shapes

    def shape(self, name: str) -> tuple[int, ...]:
        """Raises `LayoutError`."""
        try:
            return self.shapes[self.prefix + name]
        except KeyError:
            raise LayoutError(f"{self.prefix}{name} is missing") from None

    def parts(self, name: str) -> list[Part]:
        """The numbered parts below `name`, from 0 on, until one is missing."""
        start = f"{self.prefix}{name}."
        numbers = {key[len(start) :].split(".", 1)[0] for key in self.shapes if key.startswith(start)}
        count = next(number for number in range(len(numbers) + 1) if str(number) not in numbers)
        return [self.part(name, number) for number in range(count)]

    def linear(self, name: str, bias: bool = True) -> nn.Linear:
        outputs, inputs = self._sides(name, 2)
        return nn.Linear(inputs, outputs, bias=bias)

    def conv(self, name: str, stride: int = 1) -> nn.Conv2d:
        """Padded so that a stride of 1 keeps the size."""
        outputs, inputs, rows, columns = self._sides(name, 4)
        return nn.Conv2d(inputs, outputs, (rows, columns), stride=stride, padding=(rows // 2, columns // 2))

    def group_norm(self, name: str, eps: float) -> nn.GroupNorm:
        (width,) = self._sides(name, 1)
        if width % self.groups:
            raise LayoutError(f"{self.prefix}{name} has {width} channels, which {self.groups} groups do not divide")
        return nn.GroupNorm(self.groups, width, eps=eps)

    def layer_norm(self, name: str) -> nn.LayerNorm:
        (width,) = self._sides(name, 1)
        return nn.LayerNorm(width)

    def heads_for(self, width: int) -> int:
        """Raises `LayoutError` for a width that the heads do not divide."""
        heads = self.heads or max(1, width // HEAD_WIDTH)
        if width % heads:
            raise LayoutError(f"{self.prefix[:-1]} has {width} channels, which {heads} heads do not divide")
        return heads

    def _sides(self, name: str, count: int) -> tuple[int, ...]:
        shape = self.shape(f"{name}.weight")
        if len(shape) != count or 0 in shape:
            raise LayoutError(f"{self.prefix}{name}.weight has the shape {shape}")
        return shape
