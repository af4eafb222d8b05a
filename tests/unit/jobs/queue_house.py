"""A store and a queue over one folder, as a program has them, and what it leaves behind when it dies."""
from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from personal_avatar.host import Rules
from personal_avatar.jobs import process
from personal_avatar.jobs.events import Started, read_events
from personal_avatar.jobs.executors import LOCAL
from personal_avatar.jobs.means import Waiting
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore, JobView

from tests.unit.jobs.children import QUICK, trainer

LABELS = {"title": "Anna", "user_id": "u1", "avatar_id": "anna"}


class House:
    """A store and a queue over one folder; `again()` is what a restart of the program does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: list[tuple[str, dict[str, Any]]] = []
        self.body = QUICK
        self.inline: dict[str, Callable[..., dict]] = {}
        self.rules = Rules(waiting=3)
        self.pausable: tuple[str, ...] = ()
        self.width = 1
        self.together: tuple[str, ...] = ()
        self.host, self.serves = "", True
        self.started: list[str] = []
        self.waits_for = ""
        self.again()

    def again(self) -> None:
        self.store = JobStore(self.folder / "jobs", together=self.together)
        self.queue = JobQueue(
            self.store, self.inline, lambda: trainer(self.folder / "bin", self.body), self._on_end,
            rules=lambda: self.rules, pausable=lambda job: job.kind in self.pausable,
            executor=lambda: replace(LOCAL, width=self.width), host=self.host, serves=self.serves,
            before=lambda *_: self.started.append("prepared"), before_each=self._make_room,
        )

    def _make_room(self, job: Job, waiting: Waiting) -> None:
        self.started.append("room")
        while self.waits_for:
            waiting(self.waits_for)
            time.sleep(0.01)

    def _on_end(self, job: Job, result: dict[str, Any]) -> None:
        self.ended.append((job.id, result))

    def submit(self, body: str = QUICK, kind: str = "train") -> Job:
        self.body = body
        return self.queue.submit(kind, {}, **LABELS)

    def wait(self, job: Job) -> JobView:
        return self.queue.wait(job.id, 20)

    def finished(self, job: Job) -> State:
        """How a patient job ends that may."""
        (self.store.folder(job.id) / "finish").touch()
        return self.wait(job).status.state

    def starts(self, job: Job) -> int:
        return sum(isinstance(one.event, Started) for one in read_events(self.store.folder(job.id)))

    def until(self, test: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not test():
            assert time.monotonic() < end, f"waited in vain: {[view.status for view in self.store.views()]}"
            time.sleep(0.02)

    def running(self, job: Job) -> int:
        """Wait until the child has made steps; its process id."""
        self.until(lambda: self.store.view(job.id).step > 0)
        return self.store.status(job.id).pid or 0


class Abandoned:
    """The store as a program left it that died: its child, and a claim in the name of a process that is gone."""

    def __init__(self, house: House, body: str) -> None:
        house.body = body
        self.job = house.store.create("train", {}, **LABELS)
        folder = house.store.folder(self.job.id)
        house.store.claim(self.job.id)
        house.store.move(self.job.id, State.RUNNING)
        self.child = process.start(folder, trainer(house.folder / "bin", body))
        house.store.note_process(self.job.id, self.child.pid, process.started_at(self.child.pid))
        self.reaper = threading.Thread(target=self.child.wait, daemon=True)
        self.reaper.start()
        (folder / "claim").write_text("999999999 1.0")
