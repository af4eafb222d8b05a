"""What the files of a job say of it when the one that holds its state was damaged or lost."""
from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import psutil

from personal_avatar.errors import Cancelled, JobDamaged
from personal_avatar.jobs import claims, process, removing
from personal_avatar.jobs.control import CANCEL, Control
from personal_avatar.jobs.events import Done, Failed, Paused, Record, Started, read_events
from personal_avatar.jobs.job import Status
from personal_avatar.jobs.states import ENDED, State
from personal_avatar.problems import stated

UNFINISHED_S = 3600.0  # after which nobody writes a new job's folder any more
CLOCK_S = 2.0


def recovered(folder: Path, known: Status | None = None) -> Status:
    """The state of a job by its events, its claim and its wishes; `known`: as it was read last, if ever.

    A job that has ended stays so. One whose process or claim is still there counts as running, also after its last
    word: whoever looks after it settles its end, and takes its result.
    """
    if known is not None and known.state in ENDED:
        return known
    found = _told(folder)
    if known is None:
        return found
    if known.state is found.state:
        return known
    return replace(found, restarts=max(found.restarts, known.restarts), taken_at=known.taken_at or found.taken_at,
                   heard=max(found.heard, known.heard), priority=known.priority)


def _told(folder: Path) -> Status:
    records = [one for one in read_events(folder) if isinstance(one.event, Started | Paused | Done | Failed)]
    starts = [one for one in records if isinstance(one.event, Started)]
    if not starts:
        return _never_began(folder)
    pid, since = _process_of(starts[-1])
    begun = Status(
        State.RUNNING, started_at=starts[0].at, taken_at=starts[-1].at, pid=pid, pid_started_at=since,
        heard=starts[-1].id - 1,
        restarts=max(0, len(starts) - 1 - sum(isinstance(one.event, Paused) for one in records)),
    )
    if (folder / claims.CLAIM_FILE).exists() or process.alive(pid, since):
        return begun
    return _settled(begun, records[-1])


def _never_began(folder: Path) -> Status:
    if Control(folder).asked(CANCEL):
        error = stated(Cancelled, "ending.cancelled.waiting").to_json()
        return Status(State.CANCELLED, ended_at=time.time(), error=error)
    return Status()


def _settled(begun: Status, last: Record) -> Status:
    """By the last word of a job that nobody runs."""
    event = last.event
    if isinstance(event, Paused):
        return replace(begun, state=State.PAUSED)
    ended = replace(begun, ended_at=last.at, pid=None, pid_started_at=None)
    if isinstance(event, Done):
        return replace(ended, state=State.SUCCEEDED)
    if isinstance(event, Failed):
        state = State.CANCELLED if event.error.get("code") == Cancelled.code else State.FAILED
        error = {name: value for name, value in event.error.items() if name != "result"}
        return replace(ended, state=state, error=error)
    lost = stated(JobDamaged, "ending.state")
    return replace(ended, state=State.FAILED, error=lost.to_json())


def _process_of(start: Record) -> tuple[int | None, float | None]:
    """The process that began then, as a status names it; None when it is gone, though its number may be in use."""
    pid = start.event.pid if isinstance(start.event, Started) else 0
    try:
        same = pid > 0 and psutil.Process(pid).create_time() <= start.at + CLOCK_S
    except (psutil.Error, OverflowError):
        same = False
    return (pid, process.started_at(pid)) if same else (None, None)


def sweep(folder: Path) -> None:
    """Remove what crashes left of jobs that were being made or deleted; `folder`: that of all jobs."""
    for hidden in folder.glob(".*"):
        name = hidden.name[1:].removesuffix(removing.DELETED)
        if not (name.isalnum() and len(name) == 32 and (hidden.is_dir() or hidden.is_symlink())):
            continue
        if hidden.name.endswith(removing.DELETED) or _is_old(hidden):
            removing.go_on(hidden, name)


def _is_old(folder: Path) -> bool:
    try:
        newest = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except OSError:
        return False
    return time.time() - newest > UNFINISHED_S
