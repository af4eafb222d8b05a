"""An infotext comes back into the panel; knows no WebUI.

"Send to img2img" copies what has a text for a name; "paste" and the API ask what can be called. So it is both.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from personal_avatar.errors import InvalidSettings
from personal_avatar.identities import IdentitySettings
from personal_avatar.identity import infotext
from personal_avatar.params import validated
from personal_avatar.pictures import PREFIX
from personal_avatar.webui.identity.arguments import EDGES, NAMES, PASTED, RESTORE, SLOTS, WHOLE

_UNSTORED = ("references", "mask", "keypoints_image", PASTED)
UNSTORED = frozenset(name for name in NAMES if name.rpartition(".")[2] in _UNSTORED)


class PastedField(str):
    """The name of a field, which asked with the parts of an infotext answers its value; None leaves it as it is."""

    value_of: Callable[[Mapping[str, str]], Any]

    def __new__(cls, name: str, value_of: Callable[[Mapping[str, str]], Any]) -> PastedField:
        made = super().__new__(cls, PREFIX + name)
        made.value_of = value_of
        return made

    def __call__(self, params: Mapping[str, str]) -> Any:
        return self.value_of(params)


def field(name: str) -> PastedField:
    """The pasted value of one of `NAMES`."""
    return PastedField(name, lambda params: values_of(params).get(name))


def values_of(params: Mapping[str, str]) -> dict[str, Any]:
    """Values by the names of the panel; `enabled` alone when the picture was made without a person."""
    try:
        found = infotext.settings_of(params)
        settings = validated(IdentitySettings, found)
    except InvalidSettings:
        return {}
    if not found:
        return {"enabled": False}
    plain = {name: getattr(settings, name) for name in NAMES if name in IdentitySettings.__fields__}
    restore = {f"restore.{name}": getattr(settings.restore, name) for name in RESTORE}
    told = {**plain, **restore, **_people(settings), "enabled": True}
    return {name: value for name, value in told.items() if name not in UNSTORED}


def _people(settings: IdentitySettings) -> dict[str, Any]:
    """The slots of the panel; those that nobody is in come back empty."""
    found: dict[str, Any] = {}
    for slot, number in enumerate(SLOTS):
        person = settings.people[slot] if slot < len(settings.people) else None
        box = person.region if person is not None else None
        avatar = person.avatar if person is not None else ""
        found[f"person{number}.weight"] = person.weight if person is not None else 1.0
        found |= {f"person{number}.{edge}": getattr(box, edge) if box else WHOLE[edge] for edge in EDGES}
        found["avatar" if number == 1 and settings.people else f"person{number}.avatar"] = avatar
    return {name: value for name, value in found.items() if name in NAMES}


def reminder(params: Mapping[str, str]) -> str:
    """The beginnings of the photos' hashes: they are not in the picture and have to be given again."""
    return params.get(infotext.REFERENCES, "")
