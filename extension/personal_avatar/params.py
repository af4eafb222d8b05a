"""One declaration per setting: default, range, unit and place on the page follow from it.

A settings class derives from `Settings`; each field is declared with `setting(...)`. The same declaration is the API's
schema, the widget (ui/widgets.py), the JSON in a job and the validation, which reports all problems together.
"""
from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, Field, PydanticTypeError, PydanticValueError, ValidationError, validator
from pydantic.fields import ModelField

from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import several
from personal_avatar.storage import writable
from personal_avatar.wording import text

S = TypeVar("S", bound="Settings")
LONGEST_SHOWN = 60  # characters of a refused value; a photo in base64 must not get into errors and infotexts
OF_TYPES = {bool: "problem.truth", int: "problem.whole", float: "problem.number", str: "problem.text"}
# The same of numbers that have bounds: of which kind, and between which.
BOUNDED = {int: "problem.whole_range", float: "problem.number_range"}


class Broken(PydanticValueError):
    """A value breaks a rule that settings have of their own; `key`: of what is then said."""

    code = "rule"
    msg_template = "breaks {key}"


class OtherType(PydanticTypeError):
    """What stands where a number belongs is none, or none of that kind."""

    code = "setting"
    msg_template = "must be of the type {wanted.__name__}"


class Settings(BaseModel):
    """Frozen, closed: an unknown key is an error. Nothing is rounded: a whole number may be written 7.0, never 7.9."""

    class Config:
        frozen = True
        extra = "forbid"
        allow_population_by_field_name = True

    @validator("*", pre=True)
    def _meant(cls, value: Any, field: ModelField) -> Any:  # noqa: N805
        """pydantic would cut 7.9 to 7, and count true as 1."""
        if isinstance(value, str) and not writable(value):
            raise Broken(key="problem.bytes")
        wanted = number_kind(field)
        return value if wanted is None else _number(value, wanted)


def most(kind: type[Settings], name: str) -> Any:
    """The largest value that a setting with bounds may have."""
    return kind.__fields__[name].field_info.le


def number_kind(field: ModelField) -> type | None:
    """int or float where a setting is one of them, and no list; None for others."""
    kind = field.outer_type_
    if not isinstance(kind, type) or issubclass(kind, bool):
        return None
    return next((number for number in (int, float) if issubclass(kind, number)), None)


def _number(value: Any, wanted: type) -> Any:
    """`value` as pydantic may read it; raises `OtherType`."""
    if isinstance(value, bool):
        raise OtherType(wanted=wanted)
    if wanted is not int or not isinstance(value, float | str):
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    if not math.isfinite(number):
        return value
    if not number.is_integer():
        raise OtherType(wanted=wanted)
    return value if isinstance(value, str) and value.strip().lstrip("+-").isdecimal() else int(number)


def setting(
    default: Any,
    title: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    multiple_of: int | None = None,
    choices: tuple[str, ...] | None = None,
    advanced: bool = False,
    group: str = "",
    unit: str = "",
    regex: str | None = None,
    max_length: int | None = None,
    problem: str = "",
) -> Any:
    """Declare one setting. `title` is a key of the table of translations; `advanced` ones are folded away, and so are
    those of a `group`, the key of the heading that they stand under, in the order in which they are declared;
    `problem`: the key of what is said of a text that `regex` does not fit."""
    extra: dict[str, Any] = {
        "step": step, "choices": choices, "advanced": advanced or bool(group), "group": group, "unit": unit,
        "problem": problem,
    }
    if choices is not None:
        regex = "^(" + "|".join(choices) + r")(?!\n)$"
    return Field(
        default, title=title, ge=ge, le=le, multiple_of=multiple_of, regex=regex, max_length=max_length, **extra
    )


def _problem(kind: type[Settings], problem: Mapping[str, Any], values: dict[str, Any]) -> str:
    name = _name_of(problem)
    got = shown(_value_at(values, problem["loc"]))
    if problem["type"] == "value_error.extra":
        return _strangers([name], kind.__fields__)
    model_field = kind.__fields__.get(str(problem["loc"][0]))
    if model_field is None:
        return f"{name}: {problem['msg']}"
    key, more = _known(model_field, problem)
    return text(key, name=name, got=got, **more) if key else f"{name}: {problem['msg']}, got {got}"


def _name_of(problem: Mapping[str, Any]) -> str:
    return _legible(".".join(str(part) for part in problem["loc"]))


def _legible(name: str) -> str:
    """With the bytes spelled out that are no text."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _known(field: ModelField, problem: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The key of what is wrong, "" where the table has no words for it, and values for the places of its text."""
    info, code = field.field_info, problem["type"]
    if code == f"value_error.{Broken.code}":
        return problem["ctx"]["key"], {}
    if code == f"type_error.{OtherType.code}":
        return _of_type(field, problem["ctx"]["wanted"])
    if info.extra.get("choices"):
        return "problem.choice", {"choices": ", ".join(info.extra["choices"])}
    wanted = number_kind(field)
    if wanted is not None and code.startswith("type_error."):
        return _of_type(field, wanted)
    if _is_bounded(field):
        return "problem.multiple" if info.multiple_of else "problem.range", _bounds(field)
    if code == "value_error.any_str.max_length":
        return "problem.long", {"most": problem["ctx"]["limit_value"]}
    if code == "value_error.str.regex":
        return info.extra.get("problem", ""), {}
    kinds = (key for kind, key in OF_TYPES.items() if issubclass(field.type_, kind))
    return next(kinds, "") if code.startswith("type_error.") else "", {}


def _of_type(field: ModelField, wanted: type) -> tuple[str, dict[str, Any]]:
    """What a value must be that is no number of the kind, and between which bounds."""
    if wanted not in BOUNDED or not _is_bounded(field):
        return OF_TYPES[wanted], {}
    key = "problem.whole_multiple" if field.field_info.multiple_of else BOUNDED[wanted]
    return key, _bounds(field)


def _is_bounded(field: ModelField) -> bool:
    return field.field_info.ge is not None and field.field_info.le is not None


def _bounds(field: ModelField) -> dict[str, Any]:
    info = field.field_info
    return {"low": _plain(info.ge), "high": _plain(info.le), "multiple": info.multiple_of}


def _plain(bound: float | None) -> str:
    """Whole numbers with all their digits."""
    if bound is None:
        return ""
    return str(int(bound)) if float(bound).is_integer() else f"{bound:g}"


def of_other_type(field: ModelField, wanted: type, value: Any) -> str:
    """The sentence about a value that is none of `OF_TYPES`."""
    key, places = _of_type(field, wanted)
    return text(key, name=field.name, got=shown(value), **places)


def _value_at(values: Any, place: Sequence[str | int]) -> Any:
    """The value that a problem is about, and no more of what is around it."""
    for part in place:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            break
    return values


def shown(value: Any) -> str:
    """A value as an error may show it: a word or a number; of what may hold a picture only its kind."""
    if isinstance(value, (list, tuple, dict, bytes)):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN // 2]}... ({len(text)} characters)"


def validated(kind: type[S], values: dict[str, Any]) -> S:
    """Build settings from untrusted values; raises `InvalidSettings` that names every problem at once."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise _refused([kind], _sentences(kind, error, values)) from None
    except OverflowError:
        raise InvalidSettings(f"A number among {', '.join(values)} is too large.") from None


def refuse_together(given: Sequence[tuple[type[Settings], dict[str, Any]]], unknown: Sequence[str] = ()) -> None:
    """Raise `InvalidSettings` with all that is wrong with the values for several kinds of settings; what is wrong for
    more than one is said once. `unknown`: names that none of them has."""
    kinds = [kind for kind, _ in given]
    said = dict.fromkeys(sentence for kind, values in given for sentence in _problems(kind, values))
    if unknown:
        said[_strangers(unknown, dict.fromkeys(name for kind in kinds for name in kind.__fields__))] = None
    if said:
        raise _refused(kinds, list(said))


def _problems(kind: type[Settings], values: dict[str, Any]) -> list[str]:
    try:
        kind(**values)
    except ValidationError as error:
        return _sentences(kind, error, values)
    except OverflowError:
        return [f"a number among {', '.join(values)} is too large"]
    return []


def _sentences(kind: type[Settings], error: ValidationError, values: dict[str, Any]) -> list[str]:
    """One for each problem, and one for all names that are no settings."""
    found = error.errors()
    said = [_problem(kind, problem, values) for problem in found if not _is_stranger(problem)]
    strangers = [_name_of(problem) for problem in found if _is_stranger(problem)]
    return said + ([_strangers(strangers, kind.__fields__)] if strangers else [])


def _is_stranger(problem: Mapping[str, Any]) -> bool:
    """Whether it is a name on the first level that is no setting."""
    return problem["type"] == "value_error.extra" and len(problem["loc"]) == 1


def _strangers(names: Sequence[str], known: Iterable[str]) -> str:
    settings = tuple(known)
    near = dict.fromkeys(match for name in names for match in get_close_matches(name, settings, n=1))
    key = "problem.stranger" if len(names) == 1 else "problem.strangers"
    return text(
        f"{key}_near" if near else key, stranger=", ".join(map(_legible, names)), near=", ".join(near),
        settings=", ".join(settings),
    )


def _refused(kinds: Iterable[type[Settings]], said: Sequence[str]) -> InvalidSettings:
    refused = several(said)
    refused.titles = {
        name: str(field.field_info.title) for kind in kinds for name, field in kind.__fields__.items()
    }
    return refused


def pairs(words: Sequence[str]) -> dict[str, str]:
    """`key=value` words as a dict; the values are validated where they are used. Raises `InvalidSettings` for words of
    another form, and for a key that is there twice."""
    found: dict[str, list[str]] = {}
    for word in words:
        key, mark, value = word.partition("=")
        if not mark or not key.strip() or not writable(key):
            raise InvalidSettings(f"{word!r} is not of the form key=value.", "Write it like steps=500.")
        found.setdefault(key.strip(), []).append(value.strip())
    if twice := [f"{key} ({', '.join(values)})" for key, values in found.items() if len(values) > 1]:
        raise InvalidSettings(f"Given more than once: {'; '.join(twice)}.", "Say each setting once.")
    return {key: value for key, (value,) in found.items()}


def from_pairs(kind: type[S], words: list[str]) -> S:
    """Settings from the command line's `key=value` words."""
    return validated(kind, pairs(words))
