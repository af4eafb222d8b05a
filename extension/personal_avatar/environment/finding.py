"""One line of what `doctor` says."""
from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(str, Enum):
    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """`found` says what is there, `remedy` what to do when `state` is not ok."""

    name: str
    state: State
    found: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        return {"name": self.name, "state": self.state.value, "found": self.found, "remedy": self.remedy}


def ok(name: str, found: str) -> Finding:
    return Finding(name, State.OK, found)


def warning(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, State.WARNING, found, remedy)


def missing(name: str, found: str, remedy: str) -> Finding:
    return Finding(name, State.MISSING, found, remedy)
