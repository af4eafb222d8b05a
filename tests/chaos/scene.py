"""A data folder with a program that runs its queue, and what can be done to both. All waiting has an end."""
from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from personal_avatar.jobs import endings, process
from personal_avatar.jobs.events import Started, read_events
from personal_avatar.jobs.states import RESTING, State
from personal_avatar.jobs.store import Job

from tests.chaos.learner import LEARN, SAVE_EVERY, SHIFT_FILE, STEPS
from tests.chaos.program import ENDS_FILE, ROOT, STOP_FILE, queue_of

PATIENCE_S = 60.0


class Broken(AssertionError):
    """Something that must never happen, happened."""


class Scene:
    """`dice` decides when a fault comes. The scene acts as another program on the folder, such as the command line."""

    def __init__(self, data: Path, dice: random.Random, patience_s: float = PATIENCE_S) -> None:
        self.data, self.dice, self.patience_s = data, dice, patience_s
        self.queue = queue_of(data)
        self.store = self.queue.store
        self.programs: list[subprocess.Popen[bytes]] = []

    # -- the program

    def start(self) -> subprocess.Popen[bytes]:
        """A program that runs the queue, ready."""
        (self.data / STOP_FILE).unlink(missing_ok=True)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "extension"), str(ROOT)])}
        with (self.data / "program.log").open("ab") as log:
            program = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.program", str(self.data)], cwd=ROOT, env=environment, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL,
            )
        self.programs.append(program)
        self.until(lambda: (self.data / f"ready-{program.pid}").exists(), "the program starts")
        return program

    @property
    def program(self) -> subprocess.Popen[bytes]:
        return self.programs[-1]

    def kill_program(self) -> None:
        self.program.kill()
        self.program.wait()

    def restart(self) -> None:
        self.kill_program()
        self.start()

    def stop(self) -> None:
        """Let all programs end by themselves; who does not is killed."""
        (self.data / STOP_FILE).touch()
        for program in self.programs:
            try:
                program.wait(10)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    # -- jobs

    def submit(self, title: str, kind: str = LEARN, payload: Any = None) -> Job:
        return self.store.create(
            kind, payload or {"start": title}, title=title, user_id="u", avatar_id=title
        )

    def folder(self, job: Job) -> Path:
        return self.store.folder(job.id)

    def state(self, job: Job) -> State:
        return self.store.status(job.id).state

    def somewhere(self, job: Job, first: int = 1, last: int = STEPS - 4) -> int:
        """Wait until the job is at a step that the dice choose."""
        wanted = self.dice.randint(first, last)
        self.until(lambda: self.store.view(job.id).step >= wanted, f"step {wanted}")
        return wanted

    def saved(self, job: Job) -> None:
        """Wait until the job has left a state, at a step that the dice choose."""
        self.somewhere(job, SAVE_EVERY + 1)
        self.until(lambda: endings.has_state(self.folder(job)), "a state")

    def child(self, job: Job) -> int:
        """The process id of the job's worker."""
        self.until(lambda: self.store.status(job.id).pid, "a worker")
        return self.store.status(job.id).pid or 0

    def halt_child(self, job: Job) -> int:
        os.kill(pid := self.child(job), signal.SIGSTOP)
        self.until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "the worker stands")
        return pid

    def kill_child(self, job: Job) -> bool:
        """Kill it where it stands; whether it had left a whole state."""
        pid = self.halt_child(job)
        whole = endings.has_state(self.folder(job))
        os.kill(pid, signal.SIGKILL)
        self.until(lambda: not process.alive(pid), "the worker is gone")
        return whole

    def starts(self, job: Job) -> int:
        return sum(isinstance(record.event, Started) for record in read_events(self.folder(job)))

    def at_rest(self, job: Job) -> State:
        """Wait until it has ended or is paused."""
        self.until(lambda: self.state(job) in RESTING, "the job rests")
        return self.state(job)

    def ends(self, job: Job) -> int:
        """How often the program was given the job's result."""
        path = self.data / ENDS_FILE
        return path.read_text().split().count(job.id) if path.exists() else 0

    def answer(self, job: Job) -> Any:
        result = self.store.view(job.id).result
        return result["answer"] if result else None

    def published(self, job: Job) -> dict[str, Any]:
        return json.loads((self.folder(job) / "artifacts" / "result.json").read_bytes())

    # -- the world

    def shift_clock(self, seconds: float) -> None:
        path = self.data / SHIFT_FILE
        path.with_name("shift.new").write_text(str(seconds))
        os.replace(path.with_name("shift.new"), path)

    def until(self, test: Callable[[], Any], what: str) -> None:
        end = time.monotonic() + self.patience_s
        while not test():
            if time.monotonic() > end:
                raise Broken(f"waited {self.patience_s:.0f} s in vain until {what}")
            time.sleep(0.02)

    def processes(self) -> list[int]:
        """Ids of all processes, but this one, that have to do with the data folder."""
        found = []
        for one in psutil.process_iter(["pid", "cmdline", "status"]):
            words = one.info["cmdline"] or []
            if any(word.startswith(str(self.data)) for word in words) and one.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(one.info["pid"])
        return [pid for pid in found if pid != os.getpid()]

    def clear(self) -> None:
        """Leave no process behind, whatever happened."""
        for program in self.programs:
            if program.poll() is None:
                program.kill()
                program.wait()
        for pid in self.processes():
            process.kill(pid, None)
        self.store.close()
