"""What the loop needs of a training method."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Subject:
    """How captions speak of the person: `trigger` "sks man", `class_noun` "man"."""

    trigger: str
    class_noun: str

    @property
    def token(self) -> str:
        """The word that stands for the person alone: "sks"."""
        return self.trigger.split()[0]


class TrainingMethod(Protocol):
    """Something trainable that sits on a loaded checkpoint.

    `trains_text`: captions are encoded with gradients. `heavy`: the weights are too many to be copied at every turn.
    `moves_others`: whether pictures may change whose prompts do not name the person.
    """

    trains_text: bool
    heavy: bool
    moves_others: bool

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimiser: `params` (fp32 leaves), `lr`, `weight_decay` where the plan's does not fit,
        and `ahead`: how many times that rate they begin with (schedule.py)."""
        ...

    def aside(self) -> Iterable[torch.Tensor]:
        """What it keeps on the device now besides the model and what `parameter_groups` has."""
        ...

    def state(self) -> State:
        """A copy of all trained weights, float32 on the CPU."""
        ...

    def load(self, state: State) -> None:
        """Put back what `state` gave, or what was read from a saved file."""
        ...

    def strength(self, weight: float) -> AbstractContextManager[None]:
        """Within: the trained part counts `weight` times; 0 leaves the bare checkpoint, to the last bit."""
        ...

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write the file that the user gets, atomically."""
        ...

    def read(self, path: Path) -> State:
        """The weights of a saved file, ready for `load`. Raises `SelfTestFailed` when they are not all there."""
        ...

    def matched(self, path: Path) -> int:
        """How many modules (or tensors) of the file the host will use, which must be all of them, each in the place
        where it was trained. Raises `SelfTestFailed` otherwise."""
        ...
