"""The learning rate that suits a method: one is relative to it, and tens of times another's."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personal_avatar.domain import BaseModelFile, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.training.planning.plan import plan_for

FAR = 10.0  # times the one that suits: with more a training is damaged, with a tenth it learns next to nothing


def usual_rate(base: BaseModelFile, method: Method, chosen: Mapping[str, Any]) -> float:
    """The one of the preset, for the goal and the optimiser that are `chosen`; 0 where the method cannot use these."""
    wanted = {name: chosen[name] for name in ("goal", "optimiser") if name in chosen}
    try:
        return plan_for(base, method, wanted).learning_rate
    except InvalidSettings:
        return 0.0
