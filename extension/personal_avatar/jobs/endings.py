"""How the work of a job ended: by its own last word, else by what its process and its folder left."""
from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from personal_avatar.errors import (
    AvatarError,
    BaseNotFound,
    Crashed,
    DiskFull,
    Killed,
    OutOfMemory,
    OutOfVram,
    TrainerMissing,
    from_json,
)
from personal_avatar.jobs.events import Done, EventWriter, Failed, Paused, Started, read_events
from personal_avatar.jobs.kept import EVENTS_FILE, JOB_FILE, LOG_FILE, STATE_COMPLETE, STATE_FOLDER, STATUS_FILE
from personal_avatar.problems import stated
from personal_avatar.wording import text

CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
KILLED = (137, -9)
NEXT_TO_NOTHING_BYTES = 2**20  # less than an event and a log may need: a process that meets this can tell nobody
NATIVE_OUT_OF_VRAM = re.compile(r"\bError\b[^|]*\bout of memory\b")  # from bitsandbytes, which then ends its process


def oom_kills() -> int:
    """How often this kernel has killed a process for memory, here and in this container; 0 where it does not tell."""
    return _counter(Path("/proc/vmstat")) + _counter(CGROUP_EVENTS)


def _counter(path: Path) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def outcome(
    folder: Path, exit_code: int | None, oom_kills_before: int, after: int = 0
) -> Done | Paused | AvatarError:
    """How a child ended: by its last word, else by its exit code (None: it was adopted and the code is not known).

    `after`: the id of the last event before it was started.
    """
    last = last_word(folder, after)
    if isinstance(last, Done | Paused):
        return last
    if isinstance(last, Failed):
        return from_json(last.error)
    tail = _tail(folder)
    if exit_code in (None, *KILLED) and oom_kills() > oom_kills_before:
        return stated(OutOfMemory, "failure.process_memory", words=tail)
    if exit_code not in KILLED and _is_full(folder):
        return stated(DiskFull, "failure.process_disk", folder=folder.parent, words=tail)
    if exit_code in (None, *KILLED):
        return stated(Killed, "failure.process_killed", words=tail)
    if exit_code == 1 and not _began(folder, after) and "No module named" in tail:
        return stated(TrainerMissing, "failure.process_package", words=tail)
    if exit_code == 1 and NATIVE_OUT_OF_VRAM.search(tail):
        return stated(OutOfVram, "failure.process_vram", words=tail)
    return stated(Crashed, "failure.process_crashed", code=f"{exit_code}{_signal_name(exit_code)}", words=tail)


def _is_full(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free < NEXT_TO_NOTHING_BYTES
    except OSError:  # the folder is gone
        return False


def last_word(folder: Path, after: int = 0) -> Done | Paused | Failed | None:
    """The event with which the job itself said that it has ended, or rests; None when it began again afterwards."""
    word: Done | Paused | Failed | None = None
    for record in read_events(folder, after):
        if isinstance(record.event, Done | Paused | Failed):
            word = record.event
        elif isinstance(record.event, Started):
            word = None
    return word


def retell(folder: Path, result: dict[str, Any]) -> None:
    """Say the last word of a job once more, with another result: what came to light when it was taken."""
    word, emit = last_word(folder), EventWriter(folder)
    if isinstance(word, Done):
        emit(Done(result))
    elif isinstance(word, Failed):
        emit(Failed({**word.error, "result": result}))


def _began(folder: Path, after: int) -> bool:
    return any(isinstance(record.event, Started) for record in read_events(folder, after))


def last_id(folder: Path) -> int:
    """The id of the last event that was told until now; 0 when there is none."""
    return max((record.id for record in read_events(folder)), default=0)


def kept(folder: Path, after: int = 0) -> dict[str, Any]:
    """The result of what a job kept although it failed or was cancelled; empty when it kept nothing."""
    last = last_word(folder, after)
    return dict(last.error.get("result") or {}) if isinstance(last, Failed) else {}


def is_there(folder: Path) -> bool:
    """Whether the job's folder was not deleted. One file that was lost is damage, and the work goes on."""
    return any((folder / name).exists() for name in (JOB_FILE, STATUS_FILE, EVENTS_FILE))


def has_state(folder: Path) -> bool:
    """Whether the work left all that it needs to go on; the file that says so is written last."""
    try:
        return isinstance(json.loads((folder / STATE_FOLDER / STATE_COMPLETE).read_bytes()), dict)
    except (OSError, ValueError):
        return False


@contextmanager
def asking_for_the_base(folder: Path) -> Iterator[None]:
    """Of work that left its state, nothing can be chosen anew: a `BaseNotFound` says to put the file back."""
    try:
        yield
    except BaseNotFound as error:
        if has_state(folder):
            error.hint = text("error.BASE_NOT_FOUND.back")
        raise


def _signal_name(exit_code: int) -> str:
    """Of a child that a signal ended; shells add 128 to its number instead."""
    number = -exit_code if exit_code < 0 else exit_code - 128
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:
        return ""


def last_words(lines: Sequence[str]) -> str:
    """What an error says of the end of a log; nothing of none."""
    return text("failure.words", tail=" | ".join(lines)) if lines else ""


def _tail(folder: Path, lines: int = 5) -> str:
    try:
        said = (folder / LOG_FILE).read_bytes()[-2000:].decode("utf-8", errors="replace").strip()
    except OSError:
        return ""
    return last_words(said.splitlines()[-lines:])
