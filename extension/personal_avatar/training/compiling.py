"""Regional compilation: the UNet's repeated blocks become kernels of their own, for the training alone.

Each kind of block is compiled once and used many times, which takes a minute on a graphics card where the whole UNet
would take ten, and several on a processor, whose kernels a C++ compiler makes.
Pictures are made by the blocks as they were: their other sizes would be compiled, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from personal_avatar.naming import causes, first_line, let_go
from personal_avatar.training.compute import version
from personal_avatar.training.planning.plan import ON, TrainPlan
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.compute import Compute

WORTH_STEPS = 1000  # fewer do not win back the minute that compiling takes
RELIABLE_FROM = (2, 6)  # of torch; up to 2.4 checkpointed blocks cannot be compiled, and 2.5 was not tried
KINDS = 64  # forms of one block: widths, with and without gradients, strengths of a LoRA
BLOCKS = ("BasicTransformerBlock",)


def wanted(plan: TrainPlan, compute: Compute, steps: int) -> bool:
    """Whether the blocks shall be compiled: as set; "auto" on graphics cards, when the training is long, by a torch
    that can."""
    if plan.compile == "auto":
        long = steps * plan.accumulate >= WORTH_STEPS
        return compute.device.type == "cuda" and long and version() >= RELIABLE_FROM
    return plan.compile == ON


@dataclass
class Regions:
    """The repeated blocks of `unet`; `on` between `start` and `stop`, or until a compilation fails."""

    unet: torch.nn.Module
    note: Callable[[str], None]
    _blocks: list[Any] = field(default_factory=list)

    @property
    def on(self) -> bool:
        return bool(self._blocks)

    def start(self) -> None:
        """Blocks are compiled when they are called for the first time. What the compiler lacks is told then, or at once
        where this torch has none for the system or for the Python."""
        self._blocks = [block for block in self.unet.modules() if type(block).__name__ in BLOCKS]
        try:
            for block in self._blocks:
                block.compile()
        except (AttributeError, RuntimeError) as error:
            self._give_up(error)

    def stop(self) -> None:
        for block in self._blocks:
            block._compiled_call_impl = None
        self._blocks = []

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within: the blocks as they are written."""
        kept = [(block, block._compiled_call_impl) for block in self._blocks]
        for block, _ in kept:
            block._compiled_call_impl = None
        try:
            yield
        finally:
            for block, compiled in kept:
                block._compiled_call_impl = compiled

    def call(self, work: Callable[[], Any]) -> Any:
        """`work()`, which calls the UNet; when compiling fails in it, it is called again without."""
        if not self.on:
            return work()
        try:
            with _many_kinds():
                return work()
        except Exception as error:  # compilers raise anything
            if not is_of_compiler(error):
                raise
            self._give_up(error)
            let_go(error)  # also of checkpoints, which older torches leave in force for all that is computed meanwhile
        return work()

    def _give_up(self, error: Exception) -> None:
        self.stop()
        self.note(text("log.not_compiled", cause=first_line(error)))


def is_of_compiler(error: BaseException) -> bool:
    """Whether it was raised by torch's compilers, or while they ran; or by checkpoints, whose second pass is as the
    first one unless one of the two was compiled."""
    of_compilers = ("torch._dynamo", "torch._inductor", "torch._functorch", "torch.utils.checkpoint")
    return any(type(seen).__module__.startswith(of_compilers) for seen in causes(error))


@contextmanager
def _many_kinds() -> Iterator[None]:
    """More forms of one piece of code than torch would compile by itself."""
    import torch._dynamo

    config: Any = torch._dynamo.config
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    with config.patch({name: KINDS}):
        yield
