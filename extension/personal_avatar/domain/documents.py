"""Nouns as JSON and back."""
from __future__ import annotations

import json
from typing import Any, TypeVar

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Plain JSON data (dicts, lists, numbers, strings) of any noun of this folder."""
    from pydantic.json import pydantic_encoder

    return json.loads(json.dumps(value, default=pydantic_encoder))


def from_json(kind: type[T], data: Any) -> T:
    """The inverse of `to_json`; raises `pydantic.ValidationError` when `data` is not of the shape of `kind`."""
    from pydantic import parse_obj_as

    return parse_obj_as(kind, data)
