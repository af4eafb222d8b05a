"""Optimisers by name; what is not torch's own comes from the library of its authors."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from personal_avatar.naming import first_line
from personal_avatar.training.compute import version
from personal_avatar.training.planning import needs
from personal_avatar.training.planning.plan import TrainPlan

if TYPE_CHECKING:
    import torch

Groups = list[dict[str, Any]]
BETAS = (0.9, 0.99)
FUSED_ON_CPU = (2, 4)  # the first version of torch that has it


def make(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    """The plan's optimiser over `groups` (`params`, `lr`); see `refuse_impossible`."""
    return _MAKERS[plan.optimiser](groups, plan)


def _adamw(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    import torch

    on_cards = all(weight.is_cuda for group in groups for weight in group["params"])
    fused = on_cards or version() >= FUSED_ON_CPU
    return torch.optim.AdamW(groups, betas=BETAS, weight_decay=plan.weight_decay, fused=fused or None)


def _adamw8bit(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    """Dettmers et al. 2022, arXiv 2110.02861."""
    from bitsandbytes.optim import AdamW8bit

    made: torch.optim.Optimizer = AdamW8bit(groups, betas=BETAS, weight_decay=plan.weight_decay)
    return made


def _prodigy(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    """Mishchenko and Defazio 2023, arXiv 2306.06101: finds its own rate, learning rates are factors near 1."""
    from prodigyopt import Prodigy

    made: torch.optim.Optimizer = Prodigy(
        groups,
        betas=BETAS,
        weight_decay=plan.weight_decay,
        use_bias_correction=True,
        safeguard_warmup=plan.warmup_steps > 0,
    )
    return made


def _adafactor(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    """Shazeer and Stern 2018, arXiv 1804.04235, with the given learning rate."""
    from transformers.optimization import Adafactor

    made: torch.optim.Optimizer = Adafactor(
        groups, weight_decay=plan.weight_decay, scale_parameter=False, relative_step=False, warmup_init=False
    )
    return made


def _lion(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    """Chen et al. 2023, arXiv 2302.06675: learning rates a third to a tenth of AdamW's."""
    from lion_pytorch import Lion

    made: torch.optim.Optimizer = Lion(groups, betas=BETAS, weight_decay=plan.weight_decay)
    return made


def _schedulefree(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    """Defazio et al. 2024, arXiv 2405.15682: weights are averaged in `eval()`, and must be read there."""
    from schedulefree import AdamWScheduleFree

    made: torch.optim.Optimizer = AdamWScheduleFree(
        groups, betas=BETAS, weight_decay=plan.weight_decay, warmup_steps=plan.warmup_steps, foreach=False
    )
    return made


def _muon(groups: Groups, plan: TrainPlan) -> torch.optim.Optimizer:
    from personal_avatar.training.muon import Muon

    return Muon(groups, momentum=BETAS[0], weight_decay=plan.weight_decay)


_MAKERS: dict[str, Callable[[Groups, TrainPlan], Any]] = {
    "adamw": _adamw,
    "adamw8bit": _adamw8bit,
    "prodigy": _prodigy,
    "adafactor": _adafactor,
    "lion": _lion,
    "schedulefree": _schedulefree,
    "muon": _muon,
}


def refuse_impossible(plan: TrainPlan) -> None:
    """Before any work is done. Raises `InvalidSettings` for what cannot run on this machine; what cannot run
    anywhere is no plan (`plan_for`)."""
    needed = needs.OF_OPTIMISERS.get(plan.optimiser)
    if needed is None:
        return
    import torch

    if needed.card and not torch.cuda.is_available():
        raise needs.cardless(plan.optimiser)
    try:
        importlib.import_module(needed.module)
    except (ImportError, OSError, RuntimeError) as error:
        raise needs.broken(plan.optimiser, first_line(error)) from None


def has_moved(optimiser: torch.optim.Optimizer) -> bool:
    """Whether it has made a step. Fused ones have a state from their first call on, also where a scaler has them leave
    the step out, but count those that they make; of those that do not count, a state is the mark of a step."""
    return any(float(own.get("step", bool(own))) > 0 for own in optimiser.state.values())


def taken_over(state: dict[str, Any], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """What `optimiser` can load of the `state` of one of its kind that ran on another device, or by another torch:
    which kernels are used is its own business, or a scaler would not know that they heed it."""
    own = optimiser.param_groups[0].get("fused")
    groups = [{**known, "fused": own} if "fused" in known else known for known in state["param_groups"]]
    return {**state, "param_groups": groups}
