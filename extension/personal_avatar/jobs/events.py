"""Typed events, one JSON object a line in `events.jsonl`: the only way in which a running job speaks.

The job appends and flushes; page, API and command line read the same file. A torn last line (the machine went down
while it was written) is left for the next read and never an error.
"""
from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from personal_avatar.errors import AvatarError
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.storage import write_bytes


@dataclass(frozen=True)
class Started:
    """The work began in process `pid`."""

    kind: ClassVar[str] = "started"
    pid: int


@dataclass(frozen=True)
class Stage:
    """A named part of the work begins; the table of texts has words for each, under `stage.<name>`. `within`: the
    stage whose loop rests meanwhile, and goes on with its next `Progress`."""

    kind: ClassVar[str] = "stage"
    name: str
    within: str = ""


@dataclass(frozen=True)
class Progress:
    """`step` of `total` of the main loop are done. `loss` only while training. `besides_s`: what the work takes from
    here to its end besides the steps that are left, as far as it can tell."""

    kind: ClassVar[str] = "progress"
    step: int
    total: int
    loss: float | None = None
    seconds_per_step: float | None = None
    besides_s: float | None = None


@dataclass(frozen=True)
class SampleMade:
    """A picture that shows how far the work is; `path` relative to the job's folder."""

    kind: ClassVar[str] = "sample"
    path: str
    step: int
    prompt: str = ""
    likeness: float | None = None


@dataclass(frozen=True)
class Score:
    """Likeness (mean cosine to held-out photos) of the checkpoint saved at `step`; step 0 is the untrained model. With
    `leakage`: of the best one, on other seeds."""

    kind: ClassVar[str] = "score"
    step: int
    likeness: float
    leakage: float | None = None

    @property
    def is_final(self) -> bool:
        """Whether it stands beside the curve of the others."""
        return self.leakage is not None


@dataclass(frozen=True)
class Log:
    """A sentence for the user. `aside`: told by whoever looks after the job, and no sign of life of its work."""

    kind: ClassVar[str] = "log"
    message: str
    aside: bool = False


@dataclass(frozen=True)
class Paused:
    """The work ended between two steps and can go on from `step`. A last word, unless a `Started` follows."""

    kind: ClassVar[str] = "paused"
    step: int


@dataclass(frozen=True)
class Parked:
    """The work has given the graphics card to somebody else (`parked`), or has it back; `seconds`: that this took."""

    kind: ClassVar[str] = "parked"
    parked: bool
    seconds: float


@dataclass(frozen=True)
class Done:
    """The work succeeded; `result` is the kind's own document."""

    kind: ClassVar[str] = "done"
    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """The work ended with a named error: code, message, hint."""

    kind: ClassVar[str] = "failed"
    error: dict[str, Any] = field(default_factory=dict)


def failure(error: AvatarError) -> Failed:
    """The last word of a job that failed or was cancelled, with what it kept under `result`."""
    return Failed({**error.to_json(), **({"result": error.result} if error.result else {})})


Event = Started | Stage | Progress | SampleMade | Score | Log | Paused | Parked | Done | Failed
_KINDS: dict[str, type[Event]] = {
    kind.kind: kind for kind in (Started, Stage, Progress, SampleMade, Score, Log, Paused, Parked, Done, Failed)
}


@dataclass(frozen=True)
class Record:
    """An event with its place in the file (`id`, a line number from 1) and its time (`at`, Unix seconds)."""

    id: int
    at: float
    event: Event

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "at": self.at, "kind": self.event.kind, **asdict(self.event)}


class EventWriter:
    """Appends events to a job's folder. Mostly one writes at a time; where two do, none cuts what the other tells."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EVENTS_FILE
        self._end_torn_line()

    def _end_torn_line(self) -> None:
        """Append the end of line that is missing. Another writer may append it, too: an empty line is no event."""
        if not self._path.exists() or self._path.stat().st_size == 0:
            return
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            torn = file.read(1) != b"\n"
        if torn:
            self._append(b"\n")

    def _append(self, data: bytes) -> None:
        """Behind all that is there, whoever else writes."""
        with self._path.open("ab") as file:
            file.write(data)

    def __call__(self, event: Event) -> None:
        self.tell(event, round(time.time(), 3))

    def tell(self, event: Event, at: float) -> None:
        """As something that happened at `at` (Unix seconds), perhaps on another machine."""
        line = json.dumps({"at": at, "kind": event.kind, **asdict(event)}, ensure_ascii=False)
        try:
            self._append(f"{line}\n".encode("utf-8", "backslashreplace"))
        except OSError:
            self._end_torn_line()
            raise


def parse(line: str) -> tuple[float, Event] | None:
    """(time, event) of one line, or None when the line is torn or of an unknown kind."""
    try:
        data = json.loads(line)
        at, kind = float(data.pop("at")), _KINDS[data.pop("kind")]
        return at, kind(**data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def rewrite(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Put each event of a job that has ended (its line as data) through `change`; ids stay. Torn lines stay as well."""
    path = folder / EVENTS_FILE
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    changed = (json.dumps(change(json.loads(line)), ensure_ascii=False) if parse(line) else line for line in lines)
    write_bytes(path, "\n".join(changed).encode("utf-8", "backslashreplace"))


def at_home(told: Any, folder: Path) -> Any:
    """What a job told, with the paths in its folder as they are now, wherever the folder was then: no other has its
    name, the job's id."""
    if isinstance(told, dict):
        return {name: at_home(part, folder) for name, part in told.items()}
    if isinstance(told, list):
        return [at_home(part, folder) for part in told]
    if not isinstance(told, str) or folder.name not in told or told.startswith(f"{folder}{os.sep}"):
        return told
    found = re.match(rf"(?:/|[A-Za-z]:|\\\\).*?([/\\]){re.escape(folder.name)}\1", told)
    return str(folder.joinpath(*told[found.end() :].split(found[1]))) if found else told


def homed(event: Event, folder: Path) -> Event:
    """The event of a job with its paths `at_home`."""
    if isinstance(event, SampleMade):
        return replace(event, path=at_home(event.path, folder))
    if isinstance(event, Done):
        return replace(event, result=at_home(event.result, folder))
    if isinstance(event, Failed):
        return replace(event, error=at_home(event.error, folder))
    return event


def read_events(folder: Path, after: int = 0) -> Iterator[Record]:
    """Complete events of a job with an id greater than `after`, in order, see `homed`."""
    path = folder / EVENTS_FILE
    if not path.exists():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if number <= after or not line.endswith("\n"):
                continue
            parsed = parse(line)
            if parsed is None:
                continue
            at, event = parsed
            yield Record(number, at, homed(event, folder))
