"""What the modules of a checkpoint are filled with: straight from the file, and again after they were dropped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.training.compute import release, trim

if TYPE_CHECKING:
    import torch

WORTH_DROPPING_BYTES = 200 * 10**6
HALF_BYTES = 2
log = logging.getLogger(__name__)
Named = Iterable[tuple[str, "torch.Tensor"]]


@dataclass
class Contents:
    """The weights of one frozen module. `read` gives them as they are stored, anew at every call; `lent`: what it gives
    is somebody else's, too, and has to be copied. `halves`: names of those that stay in half precision where they are
    stored so, whatever `dtype` says."""

    module: torch.nn.Module
    read: Callable[[], Named]
    device: torch.device
    dtype: torch.dtype
    lent: bool
    halves: frozenset[str] = frozenset()
    dropped: bool = field(default=False, init=False)
    _names: frozenset[str] = field(default=frozenset(), init=False)
    _weights: dict[str, torch.nn.Parameter] = field(default_factory=dict, init=False, repr=False)

    def fill(self) -> None:
        """Tensor by tensor, so that a large checkpoint is not in memory twice; none may be missing, none left over.

        Raises `RuntimeError` and `LookupError` when the file has other ones, `BaseUnsupported` for whole numbers.
        """
        weights = {name for name, _ in self.module.named_parameters()}
        state = {}
        for name, tensor in self.read():
            if name in weights:
                _refuse_whole(name, tensor)
            state[name] = tensor.to(self.device, self._format(name, tensor), copy=self.lent).contiguous()
        _assign(self.module, state)
        trim()
        self.module.to(self.device)  # what is not in files, such as the numbers of positions
        self._names, self.dropped = frozenset(state), False
        self._weights = dict(self.module.named_parameters())

    def _format(self, name: str, tensor: torch.Tensor) -> torch.dtype:
        return tensor.dtype if name in self.halves and tensor.dtype.itemsize == HALF_BYTES else self.dtype

    def drop(self) -> None:
        """Give the memory back until `fill`, when that is worth it and the module still is what it was filled with."""
        state = self.module.state_dict()
        trained = any(weight.requires_grad for weight in self.module.parameters())
        size = sum(tensor.nbytes for tensor in state.values())
        if trained or state.keys() != self._names or size < WORTH_DROPPING_BYTES:
            return
        _assign(self.module, {name: tensor.to("meta") for name, tensor in state.items()})
        self._weights, self.dropped = {}, True

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """Within: none of the weights takes memory, whatever was put around the parts of the module. After it they are
        what the file has, also those that were trained, as the same parameters in their own number formats; after an
        error in main memory, where nothing but a file that cannot be read keeps them empty.

        Raises what reading raises when the file is no longer there, but not in place of an error of the block.
        """
        for weight in self._weights.values():
            weight.data = weight.data.new_empty(0)
        release()
        try:
            yield
        except Exception:
            with beside_an_error("The checkpoint's weights could not be read again"):
                self._refill("cpu")
            raise
        self._refill(self.device)

    def _refill(self, device: torch.device | str) -> None:
        for name, tensor in self.read():
            weight = self._weights[name]
            weight.data = tensor.to(device, weight.dtype, copy=self.lent).contiguous()


@contextmanager
def beside_an_error(what: str) -> Iterator[None]:
    """While an error is on its way: another one of the block is logged, and does not take its place."""
    try:
        yield
    except Exception:
        log.exception("%s", what)


def _refuse_whole(name: str, tensor: torch.Tensor) -> None:
    if not tensor.is_floating_point():
        raise stated(BaseUnsupported, "base.loaded", "remedy.fp16", tensor=name, format=tensor.dtype)


def _assign(module: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    module.load_state_dict(state, strict=True, assign=True)
    module.requires_grad_(False)


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules that this thread makes within have no values and no memory for them; what is not in files they have."""
    import torch
    from torch.overrides import TorchFunctionMode

    class Empty(TorchFunctionMode):
        """Parameters begin as `torch.empty`, and nothing else does."""

        def __torch_function__(self, called, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            options = dict(kwargs or {})
            return called(*args, **(options | {"device": "meta"} if called is torch.empty else options))

    with torch.no_grad(), Empty():
        yield
