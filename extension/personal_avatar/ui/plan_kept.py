"""How to train, kept with the draft: method, engine, and the settings that a user chose, not what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import Engine, Method
from personal_avatar.errors import AvatarError, InvalidSettings
from personal_avatar.params import validated
from personal_avatar.training.planning.plan import PLANS

if TYPE_CHECKING:
    from personal_avatar.ui.scene import Scene

WAYS: dict[str, Iterable[Enum]] = {"method": Method, "engine": Engine}


def known(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was kept, by whatever version, that which this one has and takes."""
    return {name: value for name, value in plan.items() if _is_known(name, value)}


def _is_known(name: str, value: Any) -> bool:
    if name in WAYS:
        return any(value == way.value for way in WAYS[name])
    return any(_takes(method, name, value) for method in Method)


def _takes(method: Method, name: str, value: Any) -> bool:
    try:
        validated(PLANS[method], {name: value})
    except InvalidSettings:
        return False
    return True


def keep(name: str, scene: Scene, value: Any) -> bool:
    """Remember what the user chose. False where it is not remembered: a field that he emptied says nothing, and what no
    method takes is told beside the button that starts."""
    told = {name: value} if value is not None and _is_known(name, value) else {}
    try:
        with scene.desk.lock:
            others = {other: kept for other, kept in scene.desk.draft(scene.key).plan.items() if other != name}
            scene.desk.note(scene.key, plan=others | told)
    except (AvatarError, OSError):
        return False  # the page has it, as long as it is open
    return bool(told)


def forget_settings(scene: Scene) -> None:
    """Method, engine and goal stay. Raises `NotReadable`."""
    with scene.desk.lock:
        plan = scene.desk.draft(scene.key).plan
        if plan:
            scene.desk.note(scene.key, plan={name: plan[name] for name in (*WAYS, "goal") if name in plan})


def allowed(settings: Mapping[str, Any], check: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Those settings that can be together; `check` raises `AvatarError` for what cannot. Where nothing can, it is not
    the settings that are wrong: all of them."""
    if not settings or _passes(settings, check) or not _passes({}, check):
        return dict(settings)
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if _passes({**found, name: value}, check):
            found[name] = value
    return found


def _passes(settings: Mapping[str, Any], check: Callable[[dict[str, Any]], object]) -> bool:
    try:
        check(dict(settings))
    except AvatarError:
        return False
    return True
