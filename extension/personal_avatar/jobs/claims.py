"""Who runs a job: the file `claim` in its folder, with the id of the process, what names it for good, and its place.

Several programs may work on one data folder. Whoever looks at claims or changes them does it alone, by a lock that the
system gives back when its holder dies; a claim whose process is gone belongs to nobody. How that is known of one in
another container or on another machine: whereabouts.py.
"""
from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from personal_avatar.jobs import process, whereabouts
from personal_avatar.storage import try_lock

CLAIM_FILE = "claim"
LOCK_FILE = ".claims"
PATIENCE_S = 5.0
_POLL_S = 0.005


def always() -> bool:
    """Nothing speaks against it."""
    return True


def take(folder: Path, may: Callable[[], bool] = always) -> bool:
    """True for exactly one process, which may then run the job. `may`: whether it may begin now, asked while nobody
    else takes a job. Raises `OSError` when nothing can be written there."""
    with _alone(folder.parent):
        _free_if_orphaned(folder / CLAIM_FILE)
        return may() and _written(folder / CLAIM_FILE)


def free_if_orphaned(folder: Path) -> None:
    """Take away the claim of a process that is gone; harmless when there is none."""
    if (folder / CLAIM_FILE).exists():
        with _alone(folder.parent):
            _free_if_orphaned(folder / CLAIM_FILE)


def release(folder: Path) -> None:
    """Give the job back; harmless when it was deleted, or belongs to another process by now."""
    path = folder / CLAIM_FILE
    if _read(path) in (_mine(), None):
        path.unlink(missing_ok=True)
    whereabouts.let_go(path)


def holder(folder: Path) -> int | None:
    """The id of the process that runs the job; None when nobody does."""
    path = folder / CLAIM_FILE
    found = _read(path)
    return found.pid if found and process.holds(path, *found) else None


class Holder(NamedTuple):
    """`place`: "" in a claim of an earlier version."""

    pid: int
    since: float
    place: str = ""


def _mine() -> Holder:
    return _named(os.getpid())


@lru_cache(1)
def _named(pid: int) -> Holder:
    return Holder(pid, process.started_at(pid), whereabouts.here())


def _read(path: Path) -> Holder | None:
    """None when the file is not there or was damaged. Raises `OSError` when it cannot be read now."""
    try:
        pid, since, *place = path.read_text(encoding="utf-8", errors="replace").split()
        return Holder(int(pid), float(since), *place[:1])
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def _free_if_orphaned(path: Path) -> None:
    found = _read(path)
    if found is None or not process.holds(path, *found):
        path.unlink(missing_ok=True)


def _written(path: Path) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    except FileExistsError:
        return False
    try:
        mine = _mine()
        whereabouts.lock(handle)
        os.write(handle, f"{mine.pid} {mine.since!r} {mine.place}".encode())
        os.fsync(handle)  # what a network folder has no room for shows here
    except OSError:
        os.close(handle)
        path.unlink(missing_ok=True)
        raise
    whereabouts.keep(path, handle)
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else looks at claims meanwhile. Where the file system has no locks, the exclusive creation of the file
    has to do, as it has when somebody holds the lock for longer than anybody should."""
    with (folder / LOCK_FILE).open("a+b") as file:
        end = time.monotonic() + PATIENCE_S
        while not try_lock(file.fileno()) and time.monotonic() < end:
            time.sleep(_POLL_S)
        yield
