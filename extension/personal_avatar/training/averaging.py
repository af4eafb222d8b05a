"""The weights that are saved and judged: as they are, averaged over the steps (EMA), or by the optimiser itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Averaged:
    """An exponential moving average of `parameters` when `decay` is above 0. Optimisers that average by themselves
    (schedulefree) are put into that state while weights are looked at, and nothing else is averaged."""

    def __init__(self, parameters: list[torch.nn.Parameter], decay: float, optimiser: torch.optim.Optimizer) -> None:
        from diffusers.training_utils import EMAModel

        self._parameters = parameters
        self._optimiser: Any = optimiser if hasattr(optimiser, "eval") else None
        self._average: Any = EMAModel(parameters, decay=decay) if decay > 0 and self._optimiser is None else None
        if self._optimiser is not None:
            self._optimiser.train()

    def update(self) -> None:
        """After each optimiser step."""
        if self._average is not None:
            self._average.step(self._parameters)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within: the averaged weights stand in the model; after it those that training goes on with, bit for bit."""
        kept = self._parameters if self._optimiser is not None else []
        before = [one.detach().to("cpu", copy=True) for one in kept]  # the card may be given away meanwhile
        if self._optimiser is not None:
            self._optimiser.eval()
        if self._average is not None:
            self._average.store(self._parameters)
            self._average.copy_to(self._parameters)
        try:
            yield
        finally:
            if self._average is not None:
                self._average.restore(self._parameters)
            if self._optimiser is not None:
                self._optimiser.train()
            for parameter, value in zip(self._parameters, before, strict=False):
                parameter.data.copy_(value)

    def state(self) -> dict[str, Any]:
        """What `set_state` takes; the tensors are not copied."""
        return {} if self._average is None else dict(self._average.state_dict())

    def set_state(self, state: dict[str, Any]) -> None:
        if self._average is not None:
            self._average.load_state_dict(state)
            self._average.to(self._parameters[0].device)

    def tensors(self) -> list[torch.Tensor]:
        """The averages themselves."""
        return [] if self._average is None else list(self._average.shadow_params)
