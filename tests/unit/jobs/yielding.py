"""Real processes that stand where a training stands: they work step by step, and give the card away when asked."""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from personal_avatar.jobs import process
from personal_avatar.jobs.events import Parked, Progress, read_events
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore

TRAINING = """
import sys, time
from pathlib import Path
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import Done, EventWriter, Parked, Progress, Stage
folder, first = Path(sys.argv[1]), sys.argv[2]
emit, control = EventWriter(folder), Control(folder)
emit(Stage(first))
for step in range(3000):
    emit(Progress(step, 3000))
    if (folder / "finish").exists():
        break
    if first != "prepare" and not (folder / "deaf").exists() and control.asked(YIELD):
        emit(Parked(True, 0.0))
        while control.asked(YIELD):
            time.sleep(0.005)
        emit(Parked(False, 0.0))
    time.sleep(0.005)
emit(Done({}))
"""


@contextmanager
def trainings(store: JobStore) -> Iterator[Callable[[str], str]]:
    """A function that starts a job in a stage, and returns its id when it works; all end with the block."""
    children: list[subprocess.Popen[bytes]] = []

    def begin(stage: str) -> str:
        job = store.create("train", {}, title="a training", user_id="local", avatar_id="")
        folder = store.folder(job.id)
        children.append(subprocess.Popen([sys.executable, "-c", TRAINING, str(folder), stage]))
        store.move(job.id, State.RUNNING)
        store.note_process(job.id, children[-1].pid, process.started_at(children[-1].pid))
        until(lambda: steps(folder) > 2)
        return job.id

    try:
        yield begin
    finally:
        for child in children:
            child.kill()
            child.wait()


def until(reached: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def steps(folder: Path) -> int:
    return sum(isinstance(record.event, Progress) for record in read_events(folder))


def parkings(folder: Path) -> list[bool]:
    return [record.event.parked for record in read_events(folder) if isinstance(record.event, Parked)]
