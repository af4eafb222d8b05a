"""What a training learns from, and one batch of it with noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from personal_avatar.training.data.cache import Latents
from personal_avatar.training.data.reading import TextStates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ClassSet:
    """Pictures of the class with their captions, that hold it where it was."""

    latents: Latents
    captions: list[str]


@dataclass(frozen=True)
class Pictures:
    """What is shown of one size: latents by row, what each place counts and how often each row comes in a round (see
    `TrainingSet`), pictures of the class."""

    latents: Latents
    places: tuple[torch.Tensor, ...] | None = None
    others: ClassSet | None = None
    repeats: tuple[int, ...] = ()


@dataclass(frozen=True)
class TrainingSet:
    """Row i of `latents` has `captions[i]`; `class_captions[i]` says "man" in place of the person's trigger.

    `places`: what each place of row i's latents counts, (height, width) with a mean of 1; None: all alike.
    `small`: the same pictures at half the size, for the first steps. `styled`: captions of the class in styles.
    `repeats`: how often each row comes in a round; nothing: once. `asked`: all that a step may say, but for the order
    of its parts.
    """

    latents: Latents
    captions: list[str]
    class_captions: list[str]
    text: TextStates | None  # None: captions are encoded at every step
    places: tuple[torch.Tensor, ...] | None = None
    others: ClassSet | None = None
    small: Pictures | None = None
    styled: tuple[str, ...] = ()
    repeats: tuple[int, ...] = ()
    asked: tuple[str, ...] = ()

    @property
    def is_encoded(self) -> bool:
        """Whether the VAE is not needed any more."""
        shown = [pictures for pictures in (self.large, self.small) if pictures is not None]
        latents = [pictures.latents for pictures in shown]
        latents += [pictures.others.latents for pictures in shown if pictures.others is not None]
        return all(one.is_encoded for one in latents)

    @property
    def large(self) -> Pictures:
        return Pictures(self.latents, self.places, self.others, self.repeats)


@dataclass(frozen=True)
class Noised:
    """A batch on the device: noisy latents, their timesteps, what to answer, what each picture's error counts."""

    noisy: torch.Tensor
    times: torch.Tensor
    wanted: torch.Tensor
    weights: torch.Tensor

    def first(self, count: int) -> Noised:
        return Noised(self.noisy[:count], self.times[:count], self.wanted[:count], self.weights[:count])

    @staticmethod
    def together(batches: Sequence[Noised]) -> Noised:
        """One batch after the other; their pictures are of one size."""
        import torch

        columns = zip(*((one.noisy, one.times, one.wanted, one.weights) for one in batches), strict=True)
        return Noised(*(torch.cat(column) for column in columns))
