"""Where a person is, at every resolution of a UNet."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Size = tuple[int, int]  # height, width


def levels(latent: Size) -> Iterator[Size]:
    """Sizes of a UNet's levels, from that of the latents down; each is half of the one before, rounded up."""
    height, width = latent
    yield height, width
    while height > 1 or width > 1:
        height, width = -(-height // 2), -(-width // 2)
        yield height, width


def level_of(length: int, latent: Size) -> Size | None:
    """The level whose places an attention's `length` queries are; None where they were merged or cut up."""
    return next((size for size in levels(latent) if size[0] * size[1] == length), None)


def stacked(masks: Sequence[Tensor | None], device: torch.device) -> Tensor | None:
    """Masks (height, width), (1, height, width) or None for everywhere, as float (people, 1, height, width) of the
    largest size; None for a single person, who shares with nobody."""
    if len(masks) < 2:
        return None
    given = [mask for mask in masks if mask is not None]
    height = max((mask.shape[-2] for mask in given), default=1)
    width = max((mask.shape[-1] for mask in given), default=1)
    everywhere = torch.ones(1, 1, height, width)
    sized = [everywhere if mask is None else _resized(mask, (height, width)) for mask in masks]
    return torch.cat([mask.to(device) for mask in sized])


def _resized(mask: Tensor, size: Size) -> Tensor:
    plain = mask.detach().float().reshape(1, 1, *mask.shape[-2:])
    return functional.interpolate(plain, size=size, mode="area")


def areas_of(masks: Sequence[Tensor | None]) -> list[Area | None]:
    """Where each person acts, see `stacked` for `masks`: people share the places that their masks have in common, so
    that together they are no louder than one. None: everywhere, for a single person."""
    together = stacked(masks, torch.device("cpu"))
    if together is None:
        return [None if mask is None else Area(mask) for mask in masks]
    return [Area(share[0]) for share in together / together.sum(dim=0).clamp(min=1.0)]


class Area:
    """A mask (height, width), float 0..1, of any size; what was computed is kept."""

    def __init__(self, mask: Tensor) -> None:
        self._mask = mask.detach().float()
        self._kept: dict[tuple[int, Size | None, torch.device, torch.dtype], Tensor] = {}

    def of(self, query: Tensor, latent: Size | None) -> Tensor:
        """The mask as weights of `query` (n, length, width): (1, length, 1), or the mask's mean (1, 1, 1) where the
        queries are no level of `latent` (None: they are pieces of one)."""
        key = (query.shape[1], latent, query.device, query.dtype)
        if key not in self._kept:
            self._kept[key] = self._weights(query.shape[1], latent).to(query.device, query.dtype)
        return self._kept[key]

    def _weights(self, length: int, latent: Size | None) -> Tensor:
        size = None if latent is None else level_of(length, latent)
        if size is None:
            return self._mask.mean().reshape(1, 1, 1)
        return functional.interpolate(self._mask[None, None], size=size, mode="area").reshape(1, length, 1)
