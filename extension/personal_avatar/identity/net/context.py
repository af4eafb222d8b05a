"""What an IdentityNet reads of the people's faces: keys and values of all its cross-attentions, computed once."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

# Of one person in one attention; (2, heads, tokens, width of a head): row 0 for the negative prompt, row 1 for the
# prompt.
KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Context:
    """`layers`: attention -> keys and values of every person; `masks`: float (people, 1, height, width) 0..1 of where
    each one acts, None for a single person, who acts everywhere."""

    layers: Mapping[nn.Module, tuple[KeysValues, ...]]
    masks: Tensor | None
    _shares: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    _rows: dict[tuple[bool, ...], Mapping[nn.Module, tuple[KeysValues, ...]]] = field(default_factory=dict)

    def reading(self, conditional: Sequence[bool]) -> Reading:
        """For rows that belong to the prompt or not; computed once for all steps with such rows."""
        rows = tuple(conditional)
        if rows not in self._rows:
            device = next(iter(self.layers.values()))[0][0].device
            branch = torch.tensor(rows, device=device).long()
            self._rows[rows] = {
                layer: tuple((keys[branch], values[branch]) for keys, values in people)
                for layer, people in self.layers.items()
            }
        return Reading(self, self._rows[rows])

    def shares(self, height: int, width: int) -> Tensor | None:
        """Weights (people, height * width, 1) that sum to one at every place; None: one person, who has all.

        Where nobody's mask is, all people have the same share. Computed once for each size.
        """
        if self.masks is None:
            return None
        size = (height, width)
        if size not in self._shares:
            self._shares[size] = _shares(self.masks, size)
        return self._shares[size]


@dataclass(frozen=True, eq=False)
class Reading:
    """A context as the rows of one call read it: keys and values (rows, heads, tokens, width of a head)."""

    context: Context
    layers: Mapping[nn.Module, tuple[KeysValues, ...]]

    def of(self, layer: nn.Module) -> tuple[KeysValues, ...]:
        """Of every person."""
        return self.layers[layer]


def _shares(masks: Tensor, size: tuple[int, int]) -> Tensor:
    sized = functional.interpolate(masks, size=size, mode="area").clamp(0.0, 1.0).flatten(1)[..., None]
    total = sized.sum(dim=0, keepdim=True)
    return torch.where(total > 0, sized / total.clamp(min=torch.finfo(total.dtype).tiny), 1.0 / len(masks))
