"""What the last installation found, for the tab and for `doctor`: <data>/install-report.json."""
from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from personal_avatar.errors import AvatarError

FILE_NAME = "install-report.json"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class InstallRecord:
    """`added`: normal name -> version of what we put into the WebUI's environment; `problems`: part -> error document.

    `environment`: fingerprint of the packages that were there, so that what was refused is not tried in vain again.
    """

    added: dict[str, str] = field(default_factory=dict)
    problems: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: str = ""
    version: int = FORMAT_VERSION

    def with_problem(self, part: str, error: AvatarError) -> InstallRecord:
        return InstallRecord(self.added, {**self.problems, part: error.to_json()}, self.environment)

    def solved(self, part: str, added: dict[str, str]) -> InstallRecord:
        problems = {name: problem for name, problem in self.problems.items() if name != part}
        return InstallRecord({**self.added, **added}, problems, self.environment)

    def sentences(self) -> list[str]:
        """Every problem as one line: what happened and what to do."""
        return [f"{part}: {problem['message']} {problem['hint']}".strip() for part, problem in self.problems.items()]


def read(data: Path) -> InstallRecord:
    """The record of a data folder; an empty one when there is none or it cannot be read."""
    try:
        found = json.loads((data / FILE_NAME).read_text(encoding="utf-8"))
        return InstallRecord(dict(found["added"]), dict(found["problems"]), str(found["environment"]))
    except (OSError, ValueError, KeyError, TypeError):
        return InstallRecord()


def write(data: Path, record: InstallRecord) -> None:
    data.mkdir(parents=True, exist_ok=True)
    temporary = data / (FILE_NAME + ".new")
    temporary.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(temporary, data / FILE_NAME)
