"""Pictures that become latents when they are first asked for, so that a training on a processor begins at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np

from personal_avatar.training.families.detect import LATENT_PX
from personal_avatar.training.families.model import DiffusionModel

if TYPE_CHECKING:
    import torch

ENCODE_BATCH = 4
LARGE_PX = 256 * 256  # of a picture that a processor encodes alone: several take as long as one by one, or longer
MEAN, STD = 0, 1


def groups_of(images: Sequence[np.ndarray], large_px: float = float("inf")) -> Iterator[range]:
    """Rows that are encoded together: neighbours of one size, at most `ENCODE_BATCH` of them; those of so many pixels
    alone."""
    first = 0
    for row in range(1, len(images) + 1):
        height, width = images[first].shape[:2]
        most = 1 if height * width >= large_px else ENCODE_BATCH
        full = row == len(images) or row - first == most or images[row].shape != images[first].shape
        if full:
            yield range(first, row)
            first = row


@dataclass
class Encoder:
    """Of uint8 RGB pictures, which it forgets when all are encoded; `done` is then called once.

    A row is encoded together with its group, whichever of them is asked for first: the numbers do not depend on the
    order, and are those of encoding everything beforehand; of large pictures, which have a group each so that the first
    step does not wait for others, within rounding.
    """

    model: DiffusionModel
    images: list[np.ndarray]
    done: Callable[[], None]
    _found: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._group_of = {row: group for group in groups_of(self.images, LARGE_PX) for row in group}

    @property
    def is_complete(self) -> bool:
        return len(self._found) == len(self._group_of)

    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """(channels, height, width) of every picture's latents."""
        channels = int(self.model.vae.config.latent_channels)
        return tuple((channels, image.shape[0] // LATENT_PX, image.shape[1] // LATENT_PX) for image in self.images)

    def row(self, row: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of one picture's latents."""
        if row not in self._found:
            self._encode(self._group_of[row])
        return self._found[row]

    def _encode(self, group: range) -> None:
        mean, std = self.model.encode_images(np.stack([self.images[row] for row in group]))
        self._found.update(zip(group, zip(mean, std, strict=True), strict=True))
        if self.is_complete:
            self.images = []
            self.done()


@dataclass(frozen=True)
class Coming(Sequence["torch.Tensor"]):
    """The means, or the standard deviations, of some rows of an encoder; looking at one encodes it."""

    encoder: Encoder
    part: int
    rows: range

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, at: int) -> torch.Tensor: ...

    @overload
    def __getitem__(self, at: slice) -> Coming: ...

    def __getitem__(self, at: int | slice) -> torch.Tensor | Coming:
        if isinstance(at, slice):
            return Coming(self.encoder, self.part, self.rows[at])
        return self.encoder.row(self.rows[at])[self.part]
