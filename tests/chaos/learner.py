"""The process of a light job: a chain of numbers that keeps its state and goes on from it, as a training does.

`python -m tests.chaos.learner JOB_FOLDER` is the real worker with one more kind of job. The clock of its process can be
set by the file `shift` in the data folder.
"""
from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from personal_avatar.errors import Cancelled
from personal_avatar.jobs import kept
from personal_avatar.jobs.control import DISCARD, PAUSE, Control, PauseTaken
from personal_avatar.jobs.events import EventWriter, Log, Progress
from personal_avatar.storage import write_json
from personal_avatar.worker.kinds import KINDS, Kind, Work
from personal_avatar.worker.main import heed_signals, work
from personal_avatar.worker.wishes import FolderControl

LEARN = "learn"
STEPS, SAVE_EVERY, STEP_S = 30, 3, 0.03
SHIFT_FILE = "shift"


def answer_of(start: str, steps: int = STEPS) -> str:
    """What an undisturbed job says."""
    value = start
    for step in range(steps):
        value = following(value, step)
    return value


def following(value: str, step: int) -> str:
    return hashlib.sha256(f"{step} {value}".encode()).hexdigest()


def learn(payload: dict[str, Any]) -> Work:
    def start(folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
        step, value = taken_up(folder, payload["start"])
        if step:
            emit(Log(f"from step {step}"))
        try:
            while step < STEPS:
                heed(folder, control, step, value)
                value = following(value, step)
                step += 1
                emit(Progress(step, STEPS))
                if step % SAVE_EVERY == 0:
                    keep(folder, step, value)
                time.sleep(STEP_S)
        except Cancelled as error:
            raise cancelled(folder, control, error, step, value) from None
        return published(folder, step, value)

    return start


def heed(folder: Path, control: Control, step: int, value: str) -> None:
    control.check()
    if control.asked(PAUSE):
        keep(folder, step, value)
        raise PauseTaken(step)


def cancelled(folder: Path, control: Control, error: Cancelled, step: int, value: str) -> Cancelled:
    kept = published(folder, step, value) if step >= SAVE_EVERY and not control.asked(DISCARD) else None
    return Cancelled(error.message, error.hint, kept)


def published(folder: Path, step: int, value: str) -> dict[str, Any]:
    result = {"answer": value, "steps": step, "check": checked(step, value)}
    write_json(folder / "artifacts" / "result.json", result)
    return result


def checked(step: int, value: str) -> str:
    return hashlib.sha256(f"{step}:{value}".encode()).hexdigest()


def keep(folder: Path, step: int, value: str) -> None:
    """The weights under a name of their own, then the file that says that they are complete."""
    state = folder / kept.STATE_FOLDER
    write_json(state / f"weights-{step}.json", {"value": value})
    found = {"step": step, "check": checked(step, value)}
    write_json(state / kept.STATE_COMPLETE, found)
    for old in state.glob("weights-*.json"):
        if old.name != f"weights-{step}.json":
            old.unlink()


def taken_up(folder: Path, start: str) -> tuple[int, str]:
    """(step, value) of a whole state, or the beginning."""
    state = folder / kept.STATE_FOLDER
    try:
        facts = json.loads((state / kept.STATE_COMPLETE).read_bytes())
        value = json.loads((state / f"weights-{facts['step']}.json").read_bytes())["value"]
        whole = facts["check"] == checked(facts["step"], value)
    except (OSError, ValueError, LookupError, TypeError):
        return 0, start
    return (facts["step"], value) if whole else (0, start)


def shifted(data: Path) -> Callable[[], float]:
    """`time.time` of a clock that somebody sets: the file holds by how many seconds it is wrong."""
    true = time.time

    def told() -> float:
        try:
            return true() + float((data / SHIFT_FILE).read_text())
        except (OSError, ValueError):
            return true()

    return told


def main(folder: Path) -> int:
    time.time = shifted(folder.parents[1])
    kinds: dict[str, Kind] = {**KINDS, LEARN: learn}
    control = FolderControl(folder)
    heed_signals(folder, control)
    if json.loads((folder / "job.json").read_bytes())["kind"] == LEARN:
        signal.signal(signal.SIGTERM, lambda *_: control.interrupt())
    return work(folder, EventWriter(folder), control, kinds)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(Path(sys.argv[1])))
