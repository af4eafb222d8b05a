"""The child process of a job: start it, find it again, end it. How it ended: jobs/endings.py."""
from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from functools import lru_cache
from pathlib import Path

import psutil

from personal_avatar.commandline import apart
from personal_avatar.errors import TrainerMissing
from personal_avatar.host import TrainerPython
from personal_avatar.jobs import whereabouts
from personal_avatar.jobs.executors import LOCAL, Executor
from personal_avatar.jobs.job import Status
from personal_avatar.jobs.kept import EVENTS_FILE, LOG_FILE
from personal_avatar.problems import stated

ALIVE_FILE = "alive"  # locked for as long as the child lives: it alone is given the handle, and nothing that it starts
TIED_LOOK_S = 1.0
TICKS = 2**33  # of a clock with 100 ticks a second: two and a half years
FOLDER_VARIABLE = "PERSONAL_AVATAR_JOB"  # what the work of a job starts carries its folder in the environment
log = logging.getLogger(__name__)


_KILL = signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL  # Windows ends a process at once for it


def start(folder: Path, trainer: TrainerPython, executor: Executor = LOCAL) -> subprocess.Popen[bytes]:
    """Start the child for a job folder, detached from our terminal and session, its output in `log.txt`.

    Raises `TrainerMissing` when the interpreter cannot be started.
    """
    package_parent = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, **dict(trainer.environment), **dict(executor.environment), "PYTHONUNBUFFERED": "1"}
    environment[FOLDER_VARIABLE] = str(folder)
    paths = [environment.get("PYTHONPATH", ""), package_parent]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    command = [str(trainer.executable), "-m", executor.module, str(folder)]
    with (folder / LOG_FILE).open("ab") as log, (folder / ALIVE_FILE).open("ab") as sign:
        given = whereabouts.given(sign.fileno())
        try:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=folder,
                **apart(), **given,
            )
        except OSError as error:
            if trainer.executable.is_file() and os.access(trainer.executable, os.X_OK) and not _unfit(error):
                raise
            raise stated(
                TrainerMissing, "failure.python", executable=trainer.executable, cause=error.strerror,
            ) from error


def _unfit(error: OSError) -> bool:
    """Whether the system cannot run such a file at all (ENOEXEC; a script whose interpreter is gone)."""
    return error.errno == 8 or isinstance(error, FileNotFoundError)


def started_at(pid: int) -> float:
    """What names a process for good together with its id; 0 when it is gone.

    On Linux a whole number made of the boot and the clock ticks since then: Unix seconds move when somebody sets the
    clock. Elsewhere the Unix seconds that the system noted when the process began. Raises `OSError` when nothing can be
    looked at now.
    """
    ticks = _ticks(pid)
    if ticks is not None:
        return float(_boot() * TICKS + ticks % TICKS)
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def _ticks(pid: int) -> int | None:
    """Clock ticks from the boot to the start of a process (field 22 of its stat); None where the kernel has none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    return int(stat.rpartition(b")")[2].split()[19])


@lru_cache(1)
def _boot() -> int:
    """A number of 20 bits, never below 2**19, that is another one after each start of the machine."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except (FileNotFoundError, PermissionError):
        text = b""
    return 1 << 19 | zlib.crc32(text) & 0x7FFFF


def rebooted(since: float | None) -> bool:
    """Whether the machine was started anew after the process of that `started_at` began; False where nobody knows."""
    return since is not None and since >= TICKS and int(since) // TICKS != _boot()


def alive(pid: int | None, since: float | None = None) -> bool:
    """Whether that very process still runs (a zombie does not). One that cannot be looked at now, as when no file can
    be opened, is taken for alive as long as its number is in use."""
    if not pid:
        return False
    try:
        process = psutil.Process(pid)
        return _same(process, since) and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False
    except OSError as error:
        log.warning("The process %d cannot be looked at now: %s", pid, error)
        return _in_use(pid)


def holds(file: Path, pid: int, since: float, place: str) -> bool:
    """Whether the process lives that has this file, wherever it does; `place`: see whereabouts.py."""
    return alive(pid, since) if whereabouts.is_here(place) else whereabouts.lives(file, place)


def works(folder: Path, status: Status) -> bool:
    """Whether the process of a running job still works, wherever it lives."""
    if status.pid and status.pid_here is None:
        signs = [folder / LOG_FILE, folder / EVENTS_FILE]
        return whereabouts.lives(folder / ALIVE_FILE, status.place, whereabouts.ORPHAN_S, signs)
    return alive(status.pid, status.pid_started_at)


def _in_use(pid: int) -> bool:
    """Whether there is a process of this number; asked without opening a file."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _same(process: psutil.Process, since: float | None) -> bool:
    if since is None:
        return True
    if since >= TICKS:
        return started_at(process.pid) == since
    return abs(process.create_time() - since) < 2.0  # noted as Unix seconds


def stopped(pid: int | None, since: float | None) -> bool:
    """Whether somebody has halted that very process (SIGSTOP, a debugger, a suspended process on Windows)."""
    try:
        return alive(pid, since) and psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except (psutil.Error, OSError):
        return False


def wake(pid: int | None, since: float | None) -> None:
    """Let a halted process go on."""
    try:
        if alive(pid, since):
            psutil.Process(pid).resume()
    except (psutil.Error, OSError):
        return


def kill(pid: int | None, since: float | None) -> None:
    """End that very process at once, if it still runs."""
    try:
        if pid and alive(pid, since):
            os.kill(pid, _KILL)
    except OSError:
        return


def tie(parent: int) -> None:
    """End this process, from a thread and at once, when its `parent` has ended."""
    since = started_at(parent)

    def watch() -> None:
        while os.getppid() == parent and alive(parent, since):
            time.sleep(TIED_LOOK_S)
        os.kill(os.getpid(), _KILL)

    threading.Thread(target=watch, name="tied", daemon=True).start()


def child_of(folder: Path) -> int | None:
    """The id of a process that does the work of this job folder, when its starter had no time to note it."""
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or []
        if "-m" in words and words[-1] == str(folder) and process.info["status"] != psutil.STATUS_ZOMBIE:
            return int(process.info["pid"])
    return None


def sweep(pid: int, folder: Path) -> None:
    """End what a child that is gone has left running in its session; Windows has none. Its number may be in use again:
    only what names the job's folder is of this job."""
    if sys.platform == "win32" or alive(pid) or os.getsid(0) == pid:
        return
    try:
        others = psutil.pids()
    except OSError as error:
        log.warning("What %s left running cannot be looked for: %s", folder.name, error)
        return
    for other in others:
        try:
            if os.getsid(other) == pid and _names(psutil.Process(other), folder):
                psutil.Process(other).kill()
        except (OSError, psutil.Error):
            continue


def _names(process: psutil.Process, folder: Path) -> bool:
    """Whether a process was started for the job of this folder, by its environment or its command line."""
    return process.environ().get(FOLDER_VARIABLE) == str(folder) or str(folder) in process.cmdline()
