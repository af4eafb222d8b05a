"""What each method of a comparison takes of the settings that a user gave for all, or for one by its name.

"lora.rank" is for LoRA alone, "rank" for each that has it. A learning rate is relative to its method: one that is far
from a method's own is meant for another; and an optimiser is for those that can be trained with it.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from personal_avatar.domain import ONE_PHOTO, BaseModelFile, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import shown
from personal_avatar.problems import refused
from personal_avatar.training.planning.plan import PLANS, TrainPlan, plan_for
from personal_avatar.training.planning.usual import FAR, usual_rate
from personal_avatar.wording import method_name

WAYS = (*(method.value for method in Method), ONE_PHOTO)
RATES = ("learning_rate", "text_encoder_learning_rate")
OPTIMISER = "optimiser"


@dataclass(frozen=True)
class Share:
    """`plan`: the settings that a method takes. `left`: those for all that it has and does not take."""

    plan: dict[str, Any]
    left: dict[str, Any] = field(default_factory=dict)


def plan_of(way: str) -> type[TrainPlan]:
    """The settings that it has."""
    return TrainPlan if way == ONE_PHOTO else PLANS[Method(way)]


def unknown_to(ways: Sequence[str], plan: Mapping[str, Any]) -> list[str]:
    """Names of settings that none of them has."""
    had = {name for way in ways for own in plan_of(way).__fields__ for name in (own, f"{way}.{own}")}
    return [name for name in plan if name not in had]


def taken_by(way: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that it has; what is for it alone goes before what is for all."""
    taken = {name: value for name, value in plan.items() if name in plan_of(way).__fields__}
    if way == Method.TEXTUAL_INVERSION.value:
        taken.pop("prior_weight", None)  # new words have nothing that one could hold
    return taken | _own(way, plan)


def _own(way: str, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The settings for it alone."""
    begin = f"{way}."
    return {name.removeprefix(begin): value for name, value in plan.items() if name.startswith(begin)}


def shared_out(plan: Mapping[str, Any], ways: Sequence[str], base: BaseModelFile) -> dict[str, Share]:
    """By way; of valid settings. Raises `InvalidSettings` for a rate that is far from what suits any of several."""
    shares = {way: _share(way, plan, base) if way != ONE_PHOTO else Share(taken_by(way, plan)) for way in ways}
    trained = [way for way in ways if way != ONE_PHOTO]
    for name in (*RATES, OPTIMISER):
        without = [way for way in trained if name in shares[way].left]
        if not without or len(without) < len(trained):
            continue
        if len(trained) > 1 and name in RATES:
            values = {"name": name, "value": shown(plan[name]), "way": trained[0]}
            raise refused("problem.no_rate", "remedy.no_rate", **values)
        shares |= {way: _with(shares[way], name) for way in without}  # it is told what is wrong where it is used
    return shares


def _with(share: Share, name: str) -> Share:
    left = {other: value for other, value in share.left.items() if other != name}
    return Share({**share.plan, name: share.left[name]}, left)


def _share(way: str, plan: Mapping[str, Any], base: BaseModelFile) -> Share:
    taken, method, left = taken_by(way, plan), Method(way), {}
    common = {name for name in taken if name not in _own(way, plan)}
    if OPTIMISER in common and not _can(method, taken, base):
        left[OPTIMISER] = taken.pop(OPTIMISER)
    usual = usual_rate(base, method, taken)
    for name in RATES:
        if name in common and _is_far(float(taken[name]), usual):
            left[name] = taken.pop(name)
    return Share(taken, left)


def _can(method: Method, taken: Mapping[str, Any], base: BaseModelFile) -> bool:
    """Whether it can be trained with the optimiser; other faults are no reason to leave that out."""
    without = {name: value for name, value in taken.items() if name != OPTIMISER}
    return _is_valid(method, taken, base) or not _is_valid(method, without, base)


def _is_valid(method: Method, plan: Mapping[str, Any], base: BaseModelFile) -> bool:
    try:
        plan_for(base, method, dict(plan))
    except InvalidSettings:
        return False
    return True


def _is_far(rate: float, usual: float) -> bool:
    return rate > 0 and usual > 0 and not 1 / FAR <= rate / usual <= FAR


def told(shares: Mapping[str, Share]) -> list[str]:
    """Which of the user's settings each method takes, where not all take all."""
    if not any(share.left for share in shares.values()):
        return []
    return [
        f"{method_name(way)} takes {_said(share.plan)}{_without(share.left)}."
        for way, share in shares.items() if way != ONE_PHOTO
    ]


def _without(left: Mapping[str, Any]) -> str:
    return f"; not {_said(left)}, which does not suit it" if left else ""


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "its own settings"
