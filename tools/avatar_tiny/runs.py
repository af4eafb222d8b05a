"""What both trainings share: the wall clock as schedule, atomic states, averaging between processes.

A run is told how many minutes it has, not how many steps, so that it always ends with a decayed learning rate however
busy the machine is. Started by `torchrun --nproc-per-node N`, N processes of one thread each work on batches of their
own and average (gloo): the VAE its gradients at every step, the UNet its weights every few steps, which costs almost
nothing and never waits long. On a CPU that other work shares this was faster than one process of N threads, whose
threads wait for each other in every operation.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


class Clock:
    """Progress of a run in wall time, 0..1, and the learning rate that belongs to it."""

    def __init__(self, minutes: float, peak_rate: float, warmup_steps: int = 60, floor: float = 0.01) -> None:
        self.start_s, self.length_s = time.monotonic(), minutes * 60
        self.peak_rate, self.warmup_steps, self.floor = peak_rate, warmup_steps, floor

    def progress(self) -> float:
        return min(1.0, (time.monotonic() - self.start_s) / self.length_s)

    def rate(self, step: int) -> float:
        """Linear warm-up over steps, then half a cosine over wall time."""
        decay = self.floor + (1 - self.floor) * (0.5 + 0.5 * math.cos(math.pi * self.progress()))
        return self.peak_rate * decay * min(1.0, (step + 1) / self.warmup_steps)


class Workers:
    """The processes of one run. Alone, every method is a plain pass-through."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        self.first = self.rank == 0
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("gloo")

    def average(self, tensors: list[torch.Tensor]) -> None:
        """Replace tensors, in place, by their mean over the processes: gradients of a step, or weights every few
        steps.
        """
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def agree(self, flag: bool) -> bool:
        """True once any process says so: all leave the loop at the same step."""
        if self.count == 1:
            return flag
        value = torch.tensor(float(flag))
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
        return bool(value)


class Average:
    """Exponential moving average of weights, with a warm-up so that the random start is forgotten."""

    def __init__(self, weights: Iterable[torch.nn.Parameter], decay: float) -> None:
        self.weights, self.decay, self.steps = list(weights), decay, 0
        self.values = [weight.detach().clone() for weight in self.weights]

    def update(self) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_mul_(self.values, decay)
        torch._foreach_add_(self.values, [weight.detach() for weight in self.weights], alpha=1 - decay)

    def swap(self) -> None:
        """Exchange averaged and raw weights; calling it twice undoes it."""
        for index, weight in enumerate(self.weights):
            raw = weight.detach().clone()
            weight.data.copy_(self.values[index])
            self.values[index] = raw


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write all or nothing."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
