"""What a picture's infotext says of an identity, and back. Photos are never in it, only the beginning of their hash."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

import numpy as np

from personal_avatar.identities import (
    IdentityRestoreSettings,
    IdentitySettings,
    PersonSettings,
    RegionSettings,
    Subject,
)
from personal_avatar.identity.nouns import AdapterKind
from personal_avatar.pictures import PREFIX

STYLE = PREFIX + "style"  # said by portraits of any kind, not by this room
METHOD = PREFIX + "identity"
FILE = PREFIX + "file"
PEOPLE = PREFIX + "people"
REFERENCES = PREFIX + "references"
PHOTOS = "photos"  # in place of the name of who is no avatar
HASH_DIGITS = 10
SECOND_PASS = ("second_pass", "second_pass_below_px", "second_pass_strength")
ALWAYS = ("adapter_weight", "start", "end")
ONLY_WITH_NET = ("identitynet_weight", "identitynet_end", "keypoints")
# What a name must not hold as it is: signs between names, spaces that are cut off.
_SIGNS = re.compile(r"[;@*%]|^\s|\s\Z")
# Pictures, people and restoration have words of their own, or none.
_ELSEWHERE = {"enabled", "method", "references", "people", "keypoints_image", "restore"}
_FIELDS = tuple(name for name in IdentitySettings.__fields__ if name not in _ELSEWHERE)


def photo_hash(photos: Sequence[np.ndarray]) -> str:
    """Hexadecimal sha256 of the pixels of uint8 RGB pictures, in their order."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(repr(photo.shape).encode() + np.ascontiguousarray(photo).tobytes())
    return digest.hexdigest()


def hashes(people: Sequence[Subject]) -> str:
    """The beginnings of everybody's `photo_hash`, with spaces between them."""
    return " ".join(photo_hash(one.photos)[:HASH_DIGITS] for one in people)


def pairs(
    settings: IdentitySettings, kind: AdapterKind, adapter: str, people: Sequence[Subject]
) -> tuple[tuple[str, str], ...]:
    """Everything that shaped the picture: what is not said has its default. `adapter`: name of the file that was used,
    chosen or not."""
    told = [(METHOD, kind.value), (FILE, adapter)]
    several = len(people) > 1
    told += [(_key(name), _word(getattr(settings, name))) for name in _FIELDS if _counts(settings, name, kind, several)]
    told.append((REFERENCES, hashes(people)))
    if settings.people:
        told.append((PEOPLE, "; ".join(_person(one) for one in settings.people)))
    return (*told, *restore_pairs(settings))


def restore_pairs(settings: IdentitySettings) -> tuple[tuple[str, str], ...]:
    """What was wanted of a restoration, as far as it differs from the defaults; empty without one."""
    if not settings.restore.enabled:
        return ()
    plain = IdentityRestoreSettings().dict()
    changed = {name: value for name, value in settings.restore.dict().items() if value != plain[name]}
    return tuple((_key(f"restore_{name}"), _word(value)) for name, value in changed.items())


def second_pass_pairs(settings: IdentitySettings) -> tuple[tuple[str, str], ...]:
    """The same of small faces that are painted anew."""
    plain = IdentitySettings.__fields__
    return tuple(
        (_key(name), _word(value)) for name in SECOND_PASS if (value := getattr(settings, name)) != plain[name].default
    )


def settings_of(params: Mapping[str, str]) -> dict[str, Any]:
    """The values for `IdentitySettings` that an infotext holds (pasted); empty when it says nothing of an identity.

    Photos are not in it: people come back with their regions, weights and avatars. Words that are no values are left
    for the validation to name.
    """
    found: dict[str, Any] = {}
    if METHOD in params:
        kind = params[METHOD]
        found["method"] = "instantid" if kind == AdapterKind.INSTANTID.value else "faceid"
        found |= {name: params[_key(name)] for name in _FIELDS if _key(name) in params}
    restore = {name: _key(f"restore_{name}") for name in IdentityRestoreSettings.__fields__}
    if restore["enabled"] in params:
        found["restore"] = {name: _flag(params[key]) for name, key in restore.items() if key in params}
        found |= {name: params[_key(name)] for name in SECOND_PASS if _key(name) in params}
    if params.get(PEOPLE):
        found["people"] = [_read_person(word) for word in params[PEOPLE].split(";")]
    return {name: _flag(value) for name, value in found.items()}


def _flag(value: Any) -> Any:
    return value == "True" if value in ("True", "False") else value


def _counts(settings: IdentitySettings, name: str, kind: AdapterKind, several: bool) -> bool:
    """Whether a setting is told: those that matter always, the others when they differ from their default. Without the
    net, key points part the places of several people."""
    different = getattr(settings, name) != IdentitySettings.__fields__[name].default
    if name in ONLY_WITH_NET and kind is not AdapterKind.INSTANTID:
        return different and several and name == "keypoints"
    return different or name in ALWAYS or (name in ONLY_WITH_NET and name != "identitynet_end")


def _key(name: str) -> str:
    return PREFIX + name.replace("_", " ")


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _person(person: PersonSettings) -> str:
    """`name@left/top/right/bottom*weight`; "mask" in place of the box where a mask was given. Signs of this notation in
    a name are written as in addresses of the web."""
    box = person.region
    sides = "all" if box is None else "/".join(f"{side:g}" for side in box.dict().values())
    place = "mask" if person.mask else sides
    return f"{_name(person.avatar)}@{place}*{person.weight:g}"


def _name(avatar: str) -> str:
    """A name as it is read back; an avatar may be called as the word for photos."""
    if avatar == PHOTOS:
        return f"%{ord(avatar[0]):02X}{avatar[1:]}"
    return _SIGNS.sub(_escaped, avatar) or PHOTOS


def _escaped(sign: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in sign[0].encode())


def _read_person(word: str) -> dict[str, Any]:
    name, _, rest = word.strip().partition("@")
    place, _, weight = rest.partition("*")
    sides = place.split("/")
    found: dict[str, Any] = {"avatar": "" if name == PHOTOS else unquote(name), "weight": weight or 1.0}
    if len(sides) == 4:
        found["region"] = dict(zip(RegionSettings.__fields__, sides, strict=True))
    return found
