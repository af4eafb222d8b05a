"""A graphics card that is not there: everything is computed in main memory, and kept account of as if it were on one.

Within `Card.plugged_in()` torch says that there is CUDA. Tensors that are made there or moved there are marked by their
memory, and say so (`device`, `is_cuda`). What a real card would refuse is refused (`Mixed`): operations on tensors of
two devices, random numbers from a generator of the other one, numpy on what is not in main memory. What makes a program
wait for a real card is noticed (`Waits` within `never_waiting`): reading a number, counting what is not zero, copies to
or from memory that is not pinned. Autocast of CUDA casts as it does there. The numbers are real ones, so that results
can be compared with those of a processor. What it cannot show: the card's own kernels, streams, and how fast they are.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils import checkpoint
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

CARD, MEMORY = torch.device("cuda", 0), torch.device("cpu")
TENSOR = torch.Tensor
aten = torch.ops.aten
# What autocast of CUDA casts to the half format, and what it casts back; everything else takes what it is given.
IN_HALF = frozenset({
    "conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm",
    "mv", "addmm", "addmv", "baddbmm", "addbmm", "einsum", "scaled_dot_product_attention", "prelu",
})
IN_FULL = frozenset({
    "layer_norm", "group_norm", "softmax", "log_softmax", "norm", "pow", "__pow__", "__rpow__", "exp", "log", "rsqrt",
    "reciprocal", "sum", "prod", "cumsum", "cumprod", "mse_loss", "l1_loss", "softplus", "cosine_similarity", "dist",
})
READ_BY_HOST = frozenset({
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
    aten._unique2.default, aten.unique_dim.default,
})
INDEXING = frozenset({
    aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default,
})
COPY = aten.copy_.default


class Mixed(AssertionError):
    """Tensors of two devices in one operation."""


class Waits(AssertionError):
    """The program would wait for the card here."""


class Card:
    """`waits`: what the program waited for, in order."""

    def __init__(self) -> None:
        self._here: dict[int, tuple[StorageWeakRef, int]] = {}
        self._pinned: dict[int, StorageWeakRef] = {}
        self._forbidden = 0
        self.waits: list[str] = []

    @contextmanager
    def plugged_in(self) -> Iterator[Card]:
        """Within: there is a card that can compute in fp16 and bf16."""
        grouped = torch._C._group_tensors_by_device_and_dtype
        answers = {"is_available": True, "is_bf16_supported": True, "get_device_capability": (8, 0)}
        with ExitStack() as stack:
            for name, answer in answers.items():
                stack.enter_context(mock.patch.object(torch.cuda, name, lambda *_, found=answer: found))
            stack.enter_context(mock.patch.object(
                torch._C, "_group_tensors_by_device_and_dtype", lambda *given: self._relabelled(grouped(*given))
            ))
            stack.enter_context(mock.patch.dict(checkpoint._allowed_determinism_checks_to_fns, default=_form))
            stack.enter_context(_Operations(self))
            calls, run_backward = stack.enter_context(_Calls(self)), torch.autograd._engine_run_backward

            def backward(*given: Any, **options: Any) -> Any:
                with calls:  # what a backward pass calls, such as a forward pass once more, is asked here, too
                    return run_backward(*given, **options)

            stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", backward))
            yield self

    @contextmanager
    def never_waiting(self) -> Iterator[None]:
        """Within: waiting raises `Waits`."""
        self._forbidden += 1
        try:
            yield
        finally:
            self._forbidden -= 1

    @property
    def held(self) -> int:
        """Bytes of everything on it that somebody still has."""
        self._here = {key: one for key, one in self._here.items() if not one[0].expired()}
        return sum(size for _, size in self._here.values())

    def holds(self, tensor: torch.Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            return self._has(tensor)

    def _has(self, tensor: torch.Tensor) -> bool:
        """`holds`, where nobody asks what the program calls."""
        found = self._here.get(tensor.untyped_storage()._cdata) if tensor.device == MEMORY else None
        return found is not None and not found[0].expired()

    def is_pinned(self, tensor: torch.Tensor) -> bool:
        with torch._C.DisableTorchFunction():
            found = self._pinned.get(tensor.untyped_storage()._cdata)
        return found is not None and not found.expired()

    def put(self, tensor: torch.Tensor, device: torch.device) -> None:
        """From now on its memory is that device's."""
        with torch._C.DisableTorchFunction():
            if device.type == "cuda":
                self.mark(tensor)
            else:
                self._here.pop(tensor.untyped_storage()._cdata, None)

    def mark(self, tensor: torch.Tensor) -> None:
        """Its memory is the card's; where nobody asks what the program calls."""
        storage = tensor.untyped_storage()
        known = self._here.get(storage._cdata)
        if known is None or known[0].expired():
            self._here[storage._cdata] = StorageWeakRef(storage), storage.nbytes()

    def pin(self, tensor: torch.Tensor) -> torch.Tensor:
        if self.holds(tensor):
            raise Mixed("only main memory can be pinned")
        if self.is_pinned(tensor):
            return tensor
        with torch._C.DisableTorchFunction():
            copy = tensor.clone()
            storage = copy.untyped_storage()
        self._pinned[storage._cdata] = StorageWeakRef(storage)
        return copy

    def wait(self, what: str) -> None:
        self.waits.append(what)
        if self._forbidden:
            raise Waits(what)

    def crosses(self, source: torch.Tensor, *, to_card: bool, non_blocking: bool) -> None:
        """A copy between main memory and the card."""
        if not (to_card and non_blocking and self.is_pinned(source)):
            self.wait("a copy to the card from memory that is not pinned" if to_card else "a copy from the card")

    def _relabelled(self, groups: dict[Any, Any]) -> dict[Any, Any]:
        """torch's groups of tensors of one device and number format, under the device that they say they are on."""
        found = {}
        for (_, dtype), (rows, numbers) in groups.items():
            places = {self.holds(one) for one in rows[0] if one is not None}
            if len(places) > 1:
                raise Mixed("tensors of two devices in one list")
            found[CARD if True in places else MEMORY, dtype] = rows, numbers
        return found


def _form(one: torch.Tensor) -> tuple[Any, ...]:
    """What a second forward pass must repeat; of where it is torch's own hooks are not told the same each time."""
    return tuple(one.shape), one.dtype


def _tensors(values: Sequence[Any]) -> Iterator[torch.Tensor]:
    """Those of an operation's arguments, which are tensors and lists of them besides numbers."""
    for one in values:
        if isinstance(one, TENSOR):
            yield one
        elif isinstance(one, list | tuple):
            yield from _tensors(one)


class _Operations(TorchDispatchMode):
    """Below everything: each operation with its tensors, those of backward passes among them."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunction():
            tensors = [*_tensors(args), *(one for one in kwargs.values() if isinstance(one, TENSOR))]
            here = [self._card._has(one) for one in tensors]
            if not any(here):
                return func(*args, **kwargs) if func is not COPY else self._copy(args, here)
            if func is COPY:
                return self._copy(args, here)
            self._refuse_mixed(func, args, tensors, here)
            made = func(*args, **kwargs)
            for one in _tensors((made,)):
                self._card.mark(one)
        return made

    def _copy(self, args: Any, here: Sequence[bool]) -> Any:
        """Into memory that stays where it is."""
        target, source, *rest = args
        if any(here) and here[0] != here[-1]:
            self._card.crosses(source, to_card=here[0], non_blocking=bool(rest and rest[0]))
        return COPY(*args)

    def _refuse_mixed(self, func: Any, args: Any, tensors: Sequence[torch.Tensor], here: Sequence[bool]) -> None:
        """A single number of main memory may meet any tensor, place by place; indices may be sent."""
        if func in READ_BY_HOST:
            self._card.wait(f"{func} reads from the card")
        elsewhere = [one for one, is_here in zip(tensors, here, strict=True) if not is_here and one.device == MEMORY]
        if func in INDEXING:
            indices = [one for one in args[1] if one is not None]
            asked = any(one.dtype in (torch.bool, torch.uint8) for one in indices)
            if asked or any(one is index for one in elsewhere for index in indices if index.dim()):
                self._card.wait(f"{func} with an index that the card is asked for, or told of")
            elsewhere = [one for one in elsewhere if not any(one is index for index in indices)]
        loose = torch.Tag.pointwise in func.tags
        if any(one.dim() or not loose for one in elsewhere):
            shapes = [tuple(one.shape) for one in elsewhere]
            raise Mixed(f"{func} has tensors on the card and, of the shapes {shapes}, in main memory")


class _Calls(TorchFunctionMode):
    """Above everything: what the program asks of torch, with the devices that it names."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._card = card
        self._own: dict[Any, Callable[..., Any]] = {
            TENSOR.device.__get__: lambda one: CARD if card.holds(one) else one.device,
            TENSOR.is_cuda.__get__: card.holds,
            TENSOR.is_cpu.__get__: lambda one: one.device == MEMORY and not card.holds(one),
            TENSOR.is_pinned: card.is_pinned,
            TENSOR.pin_memory: card.pin,
            TENSOR.to: self._to,
            TENSOR.cpu: lambda one: self._moved(one, MEMORY),
            TENSOR.cuda: lambda one, *_, **options: self._moved(one, CARD, **options),
            TENSOR.numpy: lambda one, **options: self._in_memory(one).numpy(**options),
            TENSOR.__array__: lambda one, *rest, **options: self._in_memory(one).__array__(*rest, **options),
            TENSOR.tolist: self._tolist,
            TENSOR.__deepcopy__: self._deepcopy,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in self._own:
            return self._own[func](*args, **kwargs)
        if torch.is_autocast_enabled("cuda"):
            args, kwargs = self._as_autocast(getattr(func, "__name__", ""), args, kwargs)
        if kwargs.get("device") is not None:
            return self._made(func, args, kwargs)
        return func(*args, **kwargs)

    def _as_autocast(self, name: str, args: Any, kwargs: Any) -> Any:
        if name not in IN_HALF and name not in IN_FULL:
            return args, kwargs
        wanted = torch.get_autocast_dtype("cuda") if name in IN_HALF else torch.float32
        return tree_map(lambda one: self._cast(one, wanted), (args, kwargs))

    def _cast(self, one: Any, wanted: torch.dtype) -> Any:
        is_due = isinstance(one, TENSOR) and one.is_floating_point() and one.dtype != torch.float64
        return one.to(wanted) if is_due and self._card.holds(one) else one

    def _made(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """A new tensor on a device that was named."""
        device = torch.device(kwargs["device"])
        if device.type == "meta":
            return func(*args, **kwargs)
        generator = kwargs.get("generator")
        if generator is not None and generator.device.type != device.type:
            raise Mixed(f"a generator of {generator.device} cannot make numbers on {device}")
        if func in (torch.tensor, torch.as_tensor) and device.type == "cuda":
            self._card.wait("a tensor of numbers that are in main memory")
        made = func(*args, **{**kwargs, "device": MEMORY})
        self._card.put(made, device)
        return made

    def _to(self, one: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        copy = kwargs.pop("copy", False)
        if args and isinstance(args[0], TENSOR):
            other = args[0]
            device = CARD if self._card.holds(other) else other.device
            return self._moved(one, device, other.dtype, copy=copy, **kwargs)
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        return self._moved(one, device, dtype, non_blocking=non_blocking, copy=copy, memory_format=layout)

    def _moved(
        self, one: torch.Tensor, device: torch.device | None, dtype: torch.dtype | None = None, *,
        non_blocking: bool = False, copy: bool = False, memory_format: torch.memory_format | None = None,
    ) -> torch.Tensor:
        options: dict[str, Any] = {} if memory_format is None else {"memory_format": memory_format}
        is_here, to_card = self._card.holds(one), device is not None and device.type == "cuda"
        if device is not None and device.type == "meta":
            return one.to(device, dtype or one.dtype, copy=copy, **options)
        if device is None or is_here == to_card:
            return one.to(dtype or one.dtype, copy=copy, **options)
        self._card.crosses(one, to_card=to_card, non_blocking=non_blocking)
        made = one.to(dtype or one.dtype, copy=True, **options)
        self._card.put(made, CARD if to_card else MEMORY)
        return made

    def _in_memory(self, one: torch.Tensor) -> torch.Tensor:
        if self._card.holds(one):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return one

    def _tolist(self, one: torch.Tensor) -> Any:
        if self._card.holds(one):
            self._card.wait("tolist reads from the card")
        return one.tolist()

    def _deepcopy(self, one: torch.Tensor, memo: dict[int, Any]) -> torch.Tensor:
        made: torch.Tensor = one.__deepcopy__(memo)  # type: ignore[no-untyped-call]
        self._card.put(made, CARD if self._card.holds(one) else MEMORY)
        return made
