"""What pydantic leaves out of the OpenAPI document, and JSON's types taken at their word."""
from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, PydanticValueError

from personal_avatar import wording
from personal_avatar.errors import InvalidSettings
from personal_avatar.params import Settings, of_other_type, refuse_together
from personal_avatar.problems import all_refused, several

KEPT = ("type", "minimum", "maximum", "maxLength", "pattern", "default", "title")
TYPES: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}


def mark_nullable(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Say `nullable` (OpenAPI 3.0) of every field that may be None."""
    for name, field in model.__fields__.items():
        entry = schema.get("properties", {}).get(name)
        if entry is not None and field.allow_none:
            if "$ref" in entry:
                entry["allOf"] = [{"$ref": entry.pop("$ref")}]
            entry["nullable"] = True


def schema_of(kind: type[Settings], without: Collection[str] = ()) -> dict[str, Any]:
    """JSON schema of an object that holds some of these settings."""
    properties = {}
    for name, field in kind.schema()["properties"].items():
        if name in without:
            continue
        choices = {"enum": list(field["choices"])} if field.get("choices") else {}
        properties[name] = {key: field[key] for key in KEPT if key in field} | choices | _worded(field.get("title", ""))
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _worded(label: str) -> dict[str, str]:
    """What the page calls a setting, and says beside it."""
    said = {"title": label, "description": f"{label}.info"}
    return {key: wording.text(name) for key, name in said.items() if wording.has(name)}


def spread(schema: dict[str, Any], choice: str, place: str, kinds: Mapping[str, type[Settings]]) -> None:
    """Replace an object's schema by one of several: for each value of the field `choice`, which kind of settings
    stands in `place`. The first of `kinds` holds where `choice` is left out."""
    whole, names = dict(schema), list(kinds)
    schema.clear()
    schema |= {key: whole[key] for key in ("title", "description")}
    schema["oneOf"] = [
        {
            "title": f"{whole['title']}: {name}",
            **{key: part for key, part in whole.items() if key not in schema},
            "properties": {
                **whole["properties"],
                choice: {**_described(whole["properties"][choice]), "type": "string", "enum": [name]},
                place: {**whole["properties"][place], **schema_of(kinds[name])},
            },
            "required": [*whole["required"], *([choice] if name != names[0] else [])],
        }
        for name in names
    ]


def _described(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("title", "description") if key in entry}


class Told(PydanticValueError):
    """What is wrong with a part of a request, as it is told everywhere: `said` without its full stop; `hint`: what to
    do."""

    code = "told"
    msg_template = "{said}"


def told_as(error: InvalidSettings) -> Told:
    return Told(said=error.message.removesuffix("."), hint=error.hint)


def refuse_wrong(kind: type[Settings], values: dict[str, Any]) -> dict[str, Any]:
    """The same values; raises what `refuse_all` raises."""
    refuse_all([(kind, values)], ())
    return values


def refuse_all(
    given: Sequence[tuple[type[Settings], dict[str, Any]]], unknown: Sequence[str], *checks: Callable[[], object]
) -> None:
    """Raise `Told` with all that is wrong with values for these kinds of settings: a text that stands for a number, or
    true for 1 (7.0 is 7), what the settings themselves refuse, names that are none (`unknown`), what `checks` find."""
    other = {name: said for kind, values in given for name, said in _of_other_types(kind, values).items()}
    fitting = [(kind, {name: values[name] for name in values if name not in other}) for kind, values in given]
    try:
        all_refused(lambda: _refuse(other.values()), lambda: refuse_together(fitting, unknown), *checks)
    except InvalidSettings as error:
        raise told_as(error) from None


def _refuse(said: Iterable[str]) -> None:
    if sentences := list(said):
        raise several(sentences)


def _of_other_types(kind: type[Settings], values: Mapping[str, Any]) -> dict[str, str]:
    """What is said of each value that is of another type."""
    found = {name: _missed(kind, name, value) for name, value in values.items()}
    return {
        name: of_other_type(kind.__fields__[name], wanted, values[name])
        for name, wanted in found.items() if wanted is not None
    }


def _missed(kind: type[Settings], name: str, value: Any) -> type | None:
    """The type that a value ought to have and has not."""
    field = kind.__fields__.get(name)
    wanted = None if field is None else next((base for base in TYPES if issubclass(field.outer_type_, base)), None)
    if wanted is None or (wanted is int and isinstance(value, float) and value.is_integer()):
        return None
    fits = isinstance(value, TYPES[wanted]) and isinstance(value, bool) == (wanted is bool)
    return None if fits else wanted
