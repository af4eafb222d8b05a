"""Axes for the X/Y/Z plot: what is worth comparing of an identity."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modules import scripts

from personal_avatar.identities import METHODS, IdentitySettings
from personal_avatar.params import validated
from personal_avatar.webui import register, restorers

CHANGES = "personal_avatar_changes"
PLOT = "xyz_grid.py"
LABEL = "[Personal Avatar] "
PERSON = "person"
RESTORE = "restore"
NUMBERS = (
    ("adapter weight", "adapter_weight"), ("IdentityNet weight", "identitynet_weight"), ("start", "start"),
    ("end", "end"),
)


def changed(p: Any, settings: IdentitySettings) -> IdentitySettings:
    """Settings with what the axes of a plot say; raises `InvalidSettings`."""
    changes = dict(getattr(p, CHANGES, {}))
    if PERSON in changes:
        changes |= {"enabled": True, "avatar": changes.pop(PERSON), "references": (), "people": ()}
    if "method" in changes:
        changes["adapter"] = ""  # a chosen file decides the method, so that all cells would be alike
    if not changes:
        return settings
    document = settings.dict()
    inner = {name: changes.pop(f"{RESTORE}.{name}") for name in document[RESTORE] if f"{RESTORE}.{name}" in changes}
    if inner and not settings.enabled:  # whoever lies in a panel that is off stays out of the pictures
        document |= {"references": (), "avatar": "", "people": ()}
    if inner:
        document |= {"enabled": True, RESTORE: {**document[RESTORE], "enabled": True, **inner}}
    return validated(IdentitySettings, {**document, **changes})


def add() -> None:
    """Once per load of the plot's script; before its `ui` is called, which copies the list."""
    for data in scripts.scripts_data:
        options = getattr(data.module, "axis_options", None)
        if data.path.endswith(PLOT) and options is not None:
            known = {option.label for option in options}
            options.extend(option for option in _options(data.module.AxisOption) if option.label not in known)


def _options(option: Callable[..., Any]) -> list[Any]:
    numbers = [option(LABEL + word, float, _setter(name)) for word, name in NUMBERS]
    method = option(LABEL + "method", str, _setter("method"), choices=lambda: list(METHODS))
    person = option(LABEL + PERSON, str, _setter(PERSON), choices=_avatars)
    restorer = option(LABEL + "restorer", str, _setter("restore.model"), choices=lambda: list(restorers.available()))
    fidelity = option(LABEL + "restoration fidelity", float, _setter("restore.fidelity"))
    return [*numbers, method, person, restorer, fidelity]


def _setter(name: str) -> Callable[[Any, Any, Sequence[Any]], None]:
    """What the plot calls with its copy of `p`; the copies share what they do not replace."""

    def apply(p: Any, value: Any, _values: Sequence[Any]) -> None:
        setattr(p, CHANGES, {**getattr(p, CHANGES, {}), name: value})

    return apply


def _avatars() -> list[str]:
    return register.studio().avatars.choices()
