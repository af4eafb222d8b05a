"""One training on several graphics cards: the batches of a step are shared out, and their gradients put together.

Every process draws the same random numbers for all batches of a step and computes its own ones only. The result is that
of one process, but for rounding: sums are made in another order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.problems import refused
from personal_avatar.training.planning.plan import TrainPlan

if TYPE_CHECKING:
    import torch

PIECE = 16 * 2**20  # numbers of gradients that are put together at once
PATIENCE = timedelta(days=1)  # the others wait while the first one saves, judges, or has given its card away


@dataclass(frozen=True)
class Team:
    """`size` processes that train together; `rank` 0 is the job's own, which alone saves, judges and tells."""

    rank: int = 0
    size: int = 1

    def does(self, batch: int) -> bool:
        """Whether the step's batch of that number is ours."""
        return batch % self.size == self.rank

    def together(self, loss: torch.Tensor, weights: Sequence[torch.nn.Parameter]) -> torch.Tensor:
        """The sum of all losses; the gradients of `weights` become the sums of all, in place. Those that none of the
        processes has stay None: from zeros an optimiser would still let the weights decay."""
        if self.size == 1:
            return loss
        import torch
        from torch import distributed

        total = torch.cat([loss.reshape(1), loss.new_tensor([float(weight.grad is not None) for weight in weights])])
        distributed.all_reduce(total)
        learning = [weight for weight, have in zip(weights, total[1:].tolist(), strict=True) if have]
        for weight in learning:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        for some in _pieces(learning):
            flat = torch.cat([weight.grad.reshape(-1).float() for weight in some])
            distributed.all_reduce(flat)
            for weight, summed in zip(some, flat.split([weight.numel() for weight in some]), strict=True):
                weight.grad.copy_(summed.view_as(weight))
        return total[0]


def _pieces(weights: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.nn.Parameter]]:
    """In their order, so many at a time as are copied at once."""
    some: list[torch.nn.Parameter] = []
    held = 0
    for weight in weights:
        if some and held + weight.numel() > PIECE:
            yield some
            some, held = [], 0
        some.append(weight)
        held += weight.numel()
    if some:
        yield some


ALONE = Team()


def refuse_impossible(plan: TrainPlan) -> None:
    """Raise `InvalidSettings` when there are not so many graphics cards; `plan_for` looks at the batches."""
    if plan.gpus == 1:
        return
    import torch

    cards = torch.cuda.device_count()
    if cards and cards < plan.gpus:
        raise refused("problem.cards", "remedy.lower", name="gpus", gpus=plan.gpus, cards=cards)


def meet(rank: int, size: int, place: Path) -> Team:
    """Wait until all processes of the team are here; `place`: a file that they have in common, new for each team."""
    import torch
    from torch import distributed

    has_nccl = torch.cuda.is_available() and distributed.is_nccl_available()  # torch for Windows comes without
    backend = "nccl" if has_nccl else "gloo"
    # Not by its address, in which "#" and "?" mean something else.
    store = distributed.FileStore(str(place.absolute()), size)
    store.set_timeout(PATIENCE)
    distributed.init_process_group(backend, timeout=PATIENCE, world_size=size, rank=rank, store=store)
    return Team(rank, size)


def part() -> None:
    """The end of the team, for this process."""
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()
