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
from personal_avatar.jobs.neighbours import Neighbourhood
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore

ON_CARD = frozenset({"cache", "train"})
TRAINING = """
import os, sys, time
from pathlib import Path
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import Done, EventWriter, Parked, Progress, Stage, Started
folder, first = Path(sys.argv[1]), sys.argv[2]
emit, control = EventWriter(folder), Control(folder)
emit(Started(os.getpid()))
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


def around(store: JobStore) -> Neighbourhood:
    """Jobs of the kind "train" are on the card in two of their stages, and know of wishes unless they say otherwise."""
    return Neighbourhood(
        store, lambda job: job.kind == "train", lambda job: job.kind == "train" and not job.payload.get("deaf"), ON_CARD
    )


def go_on(store: JobStore, job_id: str, stage: str = "train") -> subprocess.Popen[bytes]:
    """A process that works on the job, when it does."""
    folder = store.folder(job_id)
    before = steps(folder)
    child = subprocess.Popen([sys.executable, "-c", TRAINING, str(folder), stage])
    store.note_process(job_id, child.pid, process.started_at(child.pid))
    until(lambda: steps(folder) > before + 2)
    return child


@contextmanager
def trainings(store: JobStore) -> Iterator[Callable[..., str]]:
    """A function that starts a job in a stage, with what it is given, and returns its id when it works; all end with
    the block."""
    children: list[subprocess.Popen[bytes]] = []

    def begin(stage: str, **payload: str) -> str:
        job = store.create("train", payload, title="a training", user_id="local", avatar_id="")
        store.move(job.id, State.RUNNING)
        children.append(go_on(store, job.id, stage))
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
