"""What a request or the panel gives, as settings; knows no WebUI.

The first argument may be one object, validated as it is, or the arguments are a list in the order of `NAMES`, which is
the order of the panel. A list that ends early leaves the rest at its defaults. Pictures become base64 text.
"""
from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.identities import IdentityRestoreSettings, IdentitySettings, PersonSettings
from personal_avatar.params import validated

PLAIN = frozenset({"references", "avatar", "weight"})  # of one person alone, who is everywhere
SLOTS = (1, 2, 3, 4)  # people that the panel has room for; the first one's photos are `references`
EDGES = ("left", "top", "right", "bottom")
USUAL = (
    "method", "adapter_weight", "identitynet_weight", "start", "end", "keypoints", "keypoints_image", "second_pass",
)
RESTORE = tuple(IdentityRestoreSettings.__fields__)
RESTORE_USUAL = RESTORE[:3]  # the others came later: a list of arguments that was written before them still fits
ADVANCED = tuple(name for name, field in IdentitySettings.__fields__.items() if field.field_info.extra.get("advanced"))
PASTED = "pasted_photos"  # no setting: the hashes of the photos that a pasted picture was made from
PICTURES = frozenset({"references", "mask", "keypoints_image"})


def _slot_names(slot: int) -> tuple[str, ...]:
    own = () if slot == 1 else (f"person{slot}.references", f"person{slot}.avatar")
    return (*own, f"person{slot}.weight", *(f"person{slot}.{edge}" for edge in EDGES), f"person{slot}.mask")


NAMES = (
    "enabled", "references", "avatar", *USUAL, *(f"restore.{name}" for name in RESTORE_USUAL),
    "layout", *(name for slot in SLOTS for name in _slot_names(slot)), *ADVANCED, PASTED,
    *(f"restore.{name}" for name in RESTORE if name not in RESTORE_USUAL),
)


def settings_of(arguments: Sequence[Any]) -> IdentitySettings:
    """Raises `InvalidSettings` with every problem at once."""
    if arguments and isinstance(arguments[0], Mapping):
        return validated(IdentitySettings, dict(arguments[0]))
    given = {name: value for name, value in zip(NAMES, arguments, strict=False) if value is not None and name != PASTED}
    return validated(IdentitySettings, _document({"enabled": False, **given}))


def pasted_photos(arguments: Sequence[Any]) -> str:
    """The hashes that a list of arguments names, empty when there are none."""
    return str(dict(zip(NAMES, arguments, strict=False)).get(PASTED) or "").strip()


def _document(given: Mapping[str, Any]) -> dict[str, Any]:
    """The object that a list of values stands for."""
    values = {name: _plain(name, value) for name, value in given.items()}
    document = {name: value for name, value in values.items() if "." not in name}
    restore = {name: values[f"restore.{name}"] for name in RESTORE if f"restore.{name}" in values}
    people = [_person(values, slot) for slot in SLOTS]
    there = [person for person in people if person.get("references") or person.get("avatar")]
    if there and (there != people[:1] or there[0].keys() - PLAIN or there[0].get("weight", 1.0) != 1.0):
        document = {**document, "people": there, "references": (), "avatar": ""}
    return {**document, "restore": restore}


def _person(values: Mapping[str, Any], slot: int) -> dict[str, Any]:
    """A slot as the fields of `PersonSettings`; a box that is the whole picture is none."""
    prefix = f"person{slot}."
    own = {name: values[name] for name in ("references", "avatar") if slot == 1 and name in values}
    person = {**own, **{name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}}
    box = {edge: person.pop(edge) for edge in EDGES if edge in person}
    if any(box[edge] != WHOLE[edge] for edge in box):
        person["region"] = {**WHOLE, **box}
    return {name: value for name, value in person.items() if value not in (None, "", ())}


WHOLE = {"left": 0.0, "top": 0.0, "right": 1.0, "bottom": 1.0}


def _plain(name: str, value: Any) -> Any:
    """A widget's value as JSON has it."""
    last = name.rpartition(".")[2]
    if last == "references":
        return tuple(texts(value))
    if last in PICTURES:
        return next(iter(texts(value)), None)
    if isinstance(value, float) and value.is_integer() and last in WHOLE_NUMBERS:
        return int(value)
    return value


WHOLE_NUMBERS = frozenset(
    name for kind in (IdentitySettings, PersonSettings, IdentityRestoreSettings)
    for name, field in kind.__fields__.items()
    if isinstance(field.default, int) and not isinstance(field.default, bool)
)


def texts(value: Any) -> Iterable[str]:
    """Pictures as base64 text: text as it is, arrays and PIL pictures as PNG, uploaded files byte by byte."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from texts(one)
    elif isinstance(value, Mapping):  # a sketch over a picture
        yield from texts(value.get("image"))
    else:
        yield value if isinstance(value, str) else base64.b64encode(_bytes(value)).decode("ascii")


def _bytes(value: Any) -> bytes:
    from PIL import Image

    if isinstance(value, (np.ndarray, Image.Image)):
        picture = Image.fromarray(value) if isinstance(value, np.ndarray) else value
        stream = BytesIO()
        picture.save(stream, "PNG", compress_level=1)
        return stream.getvalue()
    return Path(value.name).read_bytes()  # the page's upload, a file of gradio's own
