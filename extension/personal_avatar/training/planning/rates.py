"""Optimisers of a plan: the learning rates that suit them, and what they cannot do."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from personal_avatar.problems import refused
from personal_avatar.training.planning.optimiser_facts import ADAMW, OPTIMISERS

if TYPE_CHECKING:
    from personal_avatar.training.planning.plan import TrainPlan

LEAST_FACTOR = 0.1  # of the rate that an optimiser finds: with less it learns next to nothing in a training
MANY_PHOTOS = 10**6


def has_own_schedule(plan: TrainPlan) -> bool:
    """Whether the learning rate is the optimiser's own business."""
    return OPTIMISERS[plan.optimiser].own_schedule


def suited(plan: TrainPlan, chosen: Collection[str]) -> TrainPlan:
    """With an optimiser that can do what else is `chosen`, rates that suit it, and a warm-up that has an end, where
    these are not chosen, too."""
    if _cannot_move(plan) and "optimiser" not in chosen:
        plan = plan.copy(update={"optimiser": ADAMW})
    rates: dict[str, Any] = {}
    known = OPTIMISERS[plan.optimiser]
    if known.times_adamws != 1.0:
        rates["learning_rate"] = known.times_adamws * plan.learning_rate
    elif known.one_rate:
        rates["learning_rate"] = 1.0
        if _words_factor(plan) != 1.0:
            rates["words_factor"] = 1.0
    if plan.warmup_steps and not photos_for_warmup(plan):
        rates["warmup_steps"] = plan.steps_for(MANY_PHOTOS) // 10
    return plan.copy(update={name: value for name, value in rates.items() if name not in chosen})


def refuse_unsuited(plan: TrainPlan) -> None:
    """Raise `InvalidSettings` for an optimiser that cannot do what is chosen beside it."""
    if _cannot_move(plan):
        raise refused("problem.matrices", "remedy.set", word=plan.optimiser, name="optimiser", value=ADAMW)
    if OPTIMISERS[plan.optimiser].one_rate:
        _refuse_rates(plan)


def is_too_slow(plan: TrainPlan) -> bool:
    """Whether the learning rate, a factor of the one that the optimiser finds, leaves little of that."""
    return OPTIMISERS[plan.optimiser].one_rate and plan.learning_rate < LEAST_FACTOR


def photos_for_warmup(plan: TrainPlan) -> int:
    """The fewest photos to train on that make more steps than the warm-up has; 0 where no number of photos does."""
    if plan.steps_for(MANY_PHOTOS) <= plan.warmup_steps:
        return 0
    return next(photos for photos in range(1, MANY_PHOTOS) if plan.steps_for(photos) > plan.warmup_steps)


def refuse_endless_warmup(plan: TrainPlan, chosen: Collection[str]) -> None:
    """Raise `InvalidSettings` where no number of photos makes more steps than the `chosen` warm-up has. For new jobs:
    what was accepted once is trained."""
    if "warmup_steps" not in chosen or photos_for_warmup(plan):
        return
    most = plan.steps_for(MANY_PHOTOS)
    values = {"name": "warmup_steps", "other": "steps", "warmup": plan.warmup_steps, "most": most, "tenth": most // 10}
    raise refused("problem.endless", "remedy.endless", **values)


def as_adamw(plan: TrainPlan) -> dict[str, Any]:
    """The learning rate with which AdamW stands for the plan's optimiser."""
    return {"learning_rate": plan.learning_rate / OPTIMISERS[plan.optimiser].times_adamws}


def _cannot_move(plan: TrainPlan) -> bool:
    """Whether the optimiser takes matrices only, and the plan trains other weights, too."""
    has_matrices_alone = getattr(plan, "rank", 0) > 0 and not getattr(plan, "dora", False)
    return OPTIMISERS[plan.optimiser].matrices and not has_matrices_alone


def _words_factor(plan: TrainPlan) -> float:
    return float(getattr(plan, "words_factor", 1.0))


def _refuse_rates(plan: TrainPlan) -> None:
    """Raise `InvalidSettings` for several rates that an optimiser of one rate would have to take."""
    if plan.text_encoder_learning_rate not in (0.0, plan.learning_rate):
        own = {"name": "text_encoder_learning_rate", "other": "learning_rate", "value": f"{plan.learning_rate:g}"}
        raise refused("problem.one_rate", "remedy.one_rate", word=plan.optimiser, **own)
    if _words_factor(plan) != 1.0:
        raise refused("problem.one_rate", "remedy.set", word=plan.optimiser, name="words_factor", value=1)
