"""What the last installation found, for the tab and for `doctor`: <data>/install-report.json."""
from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from personal_avatar.errors import AvatarError, DiskFull

FILE_NAME = "install-report.json"
FORMAT_VERSION = 1
V = TypeVar("V")


@dataclass(frozen=True)
class InstallRecord:
    """`added`: normal name -> version of what we put into the WebUI's environment; `problems`: part -> error document.

    `unfinished`: part -> `name==version` words that pip was given; still there at the next start when it was cut short.
    `environment`: fingerprint of the packages that were there, so that what was refused is not tried in vain again.
    """

    added: dict[str, str] = field(default_factory=dict)
    problems: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: str = ""
    unfinished: dict[str, list[str]] = field(default_factory=dict)
    version: int = FORMAT_VERSION

    def begun(self, part: str, words: list[str]) -> InstallRecord:
        return replace(self, unfinished={**self.unfinished, part: words})

    def with_problem(self, part: str, error: AvatarError) -> InstallRecord:
        """What a full disk left half unpacked stays known as unfinished: it is put back at the next start."""
        problems = {**self.problems, part: error.to_json()}
        unfinished = self.unfinished if isinstance(error, DiskFull) else _without(self.unfinished, part)
        return replace(self, problems=problems, unfinished=unfinished)

    def solved(self, part: str, added: dict[str, str]) -> InstallRecord:
        return replace(
            self,
            added={**self.added, **added},
            problems=_without(self.problems, part),
            unfinished=_without(self.unfinished, part),
        )

    def sentences(self) -> list[str]:
        """Every problem as one line: what happened and what to do."""
        return [f"{part}: {problem['message']} {problem['hint']}".strip() for part, problem in self.problems.items()]


def _without(items: dict[str, V], part: str) -> dict[str, V]:
    return {name: item for name, item in items.items() if name != part}


def read(data: Path) -> InstallRecord:
    """The record of a data folder; an empty one when there is none or it cannot be read."""
    try:
        found = json.loads((data / FILE_NAME).read_text(encoding="utf-8"))
        parts = dict(found["added"]), dict(found["problems"]), str(found["environment"])
        return InstallRecord(*parts, dict(found["unfinished"]))
    except (OSError, ValueError, KeyError, TypeError):
        return InstallRecord()


def write(data: Path, record: InstallRecord) -> None:
    data.mkdir(parents=True, exist_ok=True)
    temporary = data / (FILE_NAME + ".new")
    temporary.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, data / FILE_NAME)
