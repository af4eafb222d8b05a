"""Muon: momentum whose singular values are all made about one, so that no direction of a matrix waits for the others.

Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with steps as long as AdamW's (Liu et al. 2025, arXiv
2502.16982), so that AdamW's learning rates serve. torch has it from 2.9 on, for matrices one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, cast, overload

import torch

ITERATIONS = 5
QUINTIC = (3.4445, -4.7750, 2.0315)
AS_ADAMW = 0.2  # root mean square of AdamW's usual step


class Muon(torch.optim.Optimizer):
    """`groups`: `params` of two dimensions and more (of a convolution's weights all but the first are one), `lr`,
    `weight_decay` as in AdamW. `momentum`: Nesterov's. Raises `ValueError` for a parameter that is no matrix."""

    def __init__(self, groups: list[dict[str, Any]], momentum: float, weight_decay: float) -> None:
        super().__init__(groups, {"lr": 1e-3, "momentum": momentum, "weight_decay": weight_decay})
        if any(weight.ndim < 2 for group in self.param_groups for weight in group["params"]):
            raise ValueError("Muon takes matrices only.")

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Matrices of one shape together: each alone is too small a piece of work."""
        found = torch.enable_grad()(closure)() if closure is not None else None
        for group in self.param_groups:
            alike: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    alike[weight.flatten(1).shape].append(weight)
            for weights in alike.values():
                self._move(weights, group)
        return found

    def _move(self, weights: list[torch.Tensor], group: dict[str, Any]) -> None:
        """Of one shape as matrices."""
        moved = orthogonalised(torch.stack([self._moved(one, group["momentum"]) for one in weights]))
        rate = group["lr"] * AS_ADAMW * max(moved.shape[1:]) ** 0.5
        for weight, by in zip(weights, moved, strict=True):
            weight.mul_(1.0 - group["lr"] * group["weight_decay"])
            weight.sub_(by.reshape(weight.shape).to(weight.dtype), alpha=rate)

    def _moved(self, weight: torch.Tensor, momentum: float) -> torch.Tensor:
        """float32 (rows, columns): where momentum and gradient lead."""
        gradient = cast("torch.Tensor", weight.grad).float()
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(gradient)
        state["momentum"].lerp_(gradient, 1.0 - momentum)
        return gradient.lerp(state["momentum"], momentum).flatten(1)


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """float32 (count, rows, columns): the same singular vectors, all singular values near one (.7 to 1.2), by Newton
    and Schulz's iteration. What is zero stays zero."""
    tall = matrices.shape[1] > matrices.shape[2]
    found = matrices.transpose(1, 2) if tall else matrices
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    first, third, fifth = QUINTIC
    for _ in range(ITERATIONS):
        square = found @ found.transpose(1, 2)
        found = first * found + (third * square + fifth * square @ square) @ found
    return found.transpose(1, 2) if tall else found
