"""The child process of a job: start it, find it again, and say how it ended."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from personal_avatar.errors import AvatarError, Crashed, Killed, OutOfMemory, from_json
from personal_avatar.host import TrainerPython
from personal_avatar.jobs.events import Done, Failed, read_events
from personal_avatar.jobs.executors import LOCAL, Executor

LOG_FILE = "log.txt"


def start(folder: Path, trainer: TrainerPython, executor: Executor = LOCAL) -> subprocess.Popen[bytes]:
    """Start the child for a job folder, detached from our terminal and session, its output in `log.txt`."""
    package_parent = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, **dict(trainer.environment), **dict(executor.environment), "PYTHONUNBUFFERED": "1"}
    paths = [environment.get("PYTHONPATH", ""), package_parent]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    command = [str(trainer.executable), "-m", executor.module, str(folder)]
    detached: dict[str, Any] = {"creationflags": 0x200} if sys.platform == "win32" else {"start_new_session": True}
    with (folder / LOG_FILE).open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=folder, **detached
        )


def started_at(pid: int) -> float:
    """When a process began (Unix seconds), 0 when it is gone: with the id it names a process for good."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def alive(pid: int | None, since: float | None = None) -> bool:
    """Whether that very process still runs (a zombie does not)."""
    if not pid:
        return False
    try:
        process = psutil.Process(pid)
        same = since is None or abs(process.create_time() - since) < 2.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def oom_kills() -> int:
    """How often this kernel has killed a process for memory; 0 where it does not tell."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def outcome(folder: Path, exit_code: int | None, oom_kills_before: int) -> Done | AvatarError:
    """How a child ended: by its last word, else by its exit code (None: it was adopted and the code is not known)."""
    last = last_word(folder)
    if isinstance(last, Done):
        return last
    if isinstance(last, Failed):
        return from_json(last.error)
    tail = _tail(folder)
    if exit_code in (-signal.SIGKILL, 137, None) if hasattr(signal, "SIGKILL") else exit_code is None:
        if oom_kills() > oom_kills_before:
            return OutOfMemory("The system ended the training because the machine ran out of memory." + tail)
        return Killed("The training process was ended from outside before it was done." + tail)
    return Crashed(f"The training process ended with exit code {exit_code}{_signal_name(exit_code)}." + tail)


def last_word(folder: Path) -> Done | Failed | None:
    """The event with which the job itself said that it has ended."""
    words = [record.event for record in read_events(folder) if isinstance(record.event, Done | Failed)]
    return words[-1] if words else None


def kept(folder: Path) -> dict[str, Any]:
    """The result of what a job kept although it failed or was cancelled; empty when it kept nothing."""
    last = last_word(folder)
    return dict(last.error.get("result") or {}) if isinstance(last, Failed) else {}


def kill(pid: int | None, since: float | None) -> None:
    """End that very process at once, if it still runs."""
    if pid and alive(pid, since):
        psutil.Process(pid).kill()


def _signal_name(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return ""
    try:
        return f" ({signal.Signals(-exit_code).name})"
    except ValueError:
        return ""


def _tail(folder: Path, lines: int = 5) -> str:
    path = folder / LOG_FILE
    text = path.read_bytes()[-2000:].decode("utf-8", errors="replace").strip() if path.exists() else ""
    return " Its last words: " + " | ".join(text.splitlines()[-lines:]) if text else ""
