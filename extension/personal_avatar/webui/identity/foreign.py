"""ControlNet's own InstantID and FaceID units in the same generation: both at once burn the picture, so it is said."""
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

TITLE = "controlnet"
MARKS = ("instant_id", "instantid", "face_id", "faceid")
ADVICE = "Two identities add up; switch one of them off unless this is meant."


def warnings(p: Any) -> list[str]:
    """Sentences for the user."""
    runner = p.scripts
    scripts = [script for script in runner.alwayson_scripts if script.title().lower() == TITLE] if runner else []
    given = [argument for script in scripts for argument in p.script_args[script.args_from : script.args_to]]
    found = identity_units(given)
    return [f"ControlNet is set to {', '.join(found)} as well. {ADVICE}"] if found else []


def identity_units(arguments: Iterable[Any]) -> list[str]:
    """Names of the modules or models of enabled units (objects, or dicts from the API) that put a face in."""
    found = []
    for unit in arguments:
        said = unit if isinstance(unit, dict) else getattr(unit, "__dict__", {})
        words = [str(said.get(key) or "") for key in ("module", "model")]
        named = next((word for word in words if any(mark in word.lower() for mark in MARKS)), None)
        if said.get("enabled", bool(said)) and named:
            found.append(named)
    return found
