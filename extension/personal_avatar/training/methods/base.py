"""What the loop needs of a training method."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

State = dict[str, "torch.Tensor"]


class TrainingMethod(Protocol):
    """Something trainable that sits on a loaded checkpoint."""

    trains_text: bool

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimiser: `params` (fp32 leaves) and `lr`."""
        ...

    def state(self) -> State:
        """A copy of all trained weights, float32 on the CPU; the keys are those of the saved file."""
        ...

    def load(self, state: State) -> None:
        """Put back what `state` gave, or what was read from a saved file."""
        ...

    def places(self) -> dict[str, torch.Tensor]:
        """Kohya key -> the frozen weight of the module that is trained under this key."""
        ...

    def strength(self, weight: float) -> AbstractContextManager[None]:
        """Within: the trained part counts `weight` times; 0 leaves the bare checkpoint."""
        ...

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write the file that the user gets, atomically."""
        ...

    def read(self, path: Path) -> State:
        """The weights of a saved file, ready for `load`."""
        ...
