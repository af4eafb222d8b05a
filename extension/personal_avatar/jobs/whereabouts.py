"""Where a process lives, and whether one of another place still does: there its number says nothing.

A place is a room of process numbers: a machine since it was started, or a container in it. What a process has of a job
(its claim, a wish, a file for its work) shows that it lives: it holds a lock on the file, which goes when it dies. The
lock of another kernel may not be seen here; there a process lives as long as the file was touched lately.
"""
from __future__ import annotations

import os
import platform
import re
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from personal_avatar.storage import has_locks, try_lock

BEAT_S = 30.0  # between two touches
QUIET_S = 180.0  # without one a process on another machine counts as gone
ORPHAN_S = 900.0  # the same of work whose program is gone: only its own words are heard of it
_LOCKS = os.name != "nt"  # there a lock keeps others from reading, and an open file cannot be removed
_held: dict[Path, int] = {}  # file handles


@lru_cache(1)
def here() -> str:
    """`host.boot.namespace`, without what file names or columns of words could not hold; what the system does not tell
    is empty."""
    host = re.sub(r"[^A-Za-z0-9-]", "-", platform.node().partition(".")[0])[:40]
    return f"{host}.{_boot()}.{_namespace()}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    except (OSError, ValueError):
        return ""


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return ""


def host_of(place: str) -> str:
    return _parts(place)[0]


def is_here(place: str) -> bool:
    """Whether numbers of processes mean there what they do here; "": of an earlier version, which noted none."""
    if not place:
        return True
    return _parts(place)[1:] == _parts(here())[1:] if _is_known(place) else place == here()


def lives(file: Path, place: str, quiet_s: float = QUIET_S, signs: Iterable[Path] = ()) -> bool:
    """Whether the process of another place lives that has this file. `signs`: other files to which it writes."""
    if _is_known(place) and _parts(place)[1] == _parts(here())[1]:
        locked = _is_locked(file)
        if locked is not None:
            return locked
    last = max(map(_touched, (file, *signs)))
    if host_of(place) == host_of(here()) and last < psutil.boot_time():
        return False  # this machine was started anew since
    return _now(file.parent) - last < quiet_s


def lock(handle: int) -> None:
    """Show that somebody lives for as long as this file, or what was made of the handle in a child, is open."""
    for _ in range(20 if _LOCKS else 0):  # somebody may be looking just now
        if try_lock(handle):
            return
        time.sleep(0.005)


def given(handle: int) -> dict[str, Any]:
    """For `Popen`: the child has this locked file for as long as it lives, and what it starts in turn, as Python does
    that, has it not."""
    lock(handle)
    return {"pass_fds": (handle,)} if _LOCKS else {}


def keep(file: Path, handle: int) -> None:
    """Show by an own file, which was opened for writing, that this process lives, until `let_go`."""
    lock(handle)
    let_go(file)
    if not _LOCKS:
        os.close(handle)
    _held[file] = handle if _LOCKS else -1
    _start_beating(os.getpid())


def let_go(file: Path) -> None:
    """Harmless where nothing is kept."""
    if (handle := _held.pop(file, -1)) >= 0:
        os.close(handle)


def _parts(place: str) -> list[str]:
    return [*place.split("."), "", ""][:3]


def _is_known(place: str) -> bool:
    """Whether both kernels tell when they were started."""
    return bool(_parts(place)[1] and _parts(here())[1])


def _is_locked(file: Path) -> bool | None:
    """None where that cannot be told."""
    for mode in (os.O_RDWR, os.O_RDONLY):  # network folders lock only what may be written
        try:
            handle = os.open(file, mode)
        except FileNotFoundError:
            return False
        except OSError:
            continue
        try:
            return True if not (free := try_lock(handle)) and has_locks(file.parent) else (False if free else None)
        except OSError:
            return None
        finally:
            os.close(handle)
    return None


def _touched(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _now(folder: Path) -> float:
    """By the clock of whoever keeps the folder, which may be another machine."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


@lru_cache(1)
def _start_beating(_pid: int) -> None:
    threading.Thread(target=_beat, name="avatar-signs", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(BEAT_S)
        for file in list(_held):
            with suppress(OSError):
                os.utime(file)
