"""What suits a method: learning rates are relative to it, one tens of times another's, and so are steps."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personal_avatar.domain import BaseModelFile, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.training.planning.plan import TrainPlan, plan_for

FAR = 10.0  # times the one that suits: with more a training is damaged, with a tenth it learns next to nothing


def usual_rate(base: BaseModelFile, method: Method, chosen: Mapping[str, Any]) -> float:
    """The one of the preset, for the goal and the optimiser that are `chosen`; 0 where the method cannot use these."""
    plan = _usual(base, method, chosen, ("goal", "optimiser"))
    return plan.learning_rate if plan else 0.0


def usual_steps(base: BaseModelFile, method: Method, chosen: Mapping[str, Any], photos: int) -> int:
    """Those of the preset for so many photos, for what of a step is `chosen`; 0 where the method cannot use that."""
    plan = _usual(base, method, chosen, ("goal", "batch_size", "accumulate"))
    return plan.steps_for(photos) if plan else 0


def _usual(base: BaseModelFile, method: Method, chosen: Mapping[str, Any], names: tuple[str, ...]) -> TrainPlan | None:
    """The preset's settings, but for the chosen ones of these `names`."""
    try:
        return plan_for(base, method, {name: chosen[name] for name in names if name in chosen})
    except InvalidSettings:
        return None
