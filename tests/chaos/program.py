"""The program that runs the queue, and is killed by the faults: `python -m tests.chaos.program DATA`.

It ends when the file `stop` is there. What `on_end` is told it writes down, one line a call.
"""
from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs import queue, watching
from personal_avatar.jobs.executors import Executor
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.store import Job, JobStore

from tests.chaos.learner import shifted

ROOT = Path(__file__).resolve().parents[2]
STOP_FILE, ENDS_FILE = "stop", "ends.txt"
RESTARTS = 2


def queue_of(data: Path) -> JobQueue:
    """A queue over the data folder; its trainer is the worker with one more kind of job."""

    def on_end(job: Job, result: dict) -> None:
        with (data / ENDS_FILE).open("a") as file:
            file.write(f"{job.id}\n")

    trainer = TrainerPython(Path(sys.executable), (("PYTHONPATH", str(ROOT)), ("OMP_NUM_THREADS", "1")))
    return JobQueue(
        JobStore(data / "jobs"), {}, lambda: trainer, on_end, rules=lambda: Rules(restarts=RESTARTS),
        pausable=lambda job: True, executor=lambda: Executor("local", "tests.chaos.learner"),
    )


def main(data: Path) -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    time.time = shifted(data)
    queue.POLL_S, queue.IDLE_S = 0.05, 0.3
    watching.LOOK_S, watching.GONE_GRACE_S = 0.2, 1.0
    jobs = queue_of(data)
    jobs.recover()
    (data / f"ready-{os.getpid()}").touch()
    while not (data / STOP_FILE).exists():
        time.sleep(0.05)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
