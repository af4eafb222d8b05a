"""Jobs that run in other processes of this machine and can give the graphics card away, as their events tell."""
from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from personal_avatar.errors import AvatarError
from personal_avatar.jobs import process
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import Done, Failed, Parked, Paused, Stage, Started, parse
from personal_avatar.jobs.executors import CARRIER
from personal_avatar.jobs.job import Job, JobView
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Neighbourhood:
    """Jobs of a store that run in other processes and use the card. `can_yield`: whether the work of such a job knows
    of wishes, and gives the card away when it is asked; `stages`: those parts of the work in which a job is on the
    card."""

    store: JobStore
    uses_card: Callable[[Job], bool]
    can_yield: Callable[[Job], bool]
    stages: frozenset[str]

    def views(self) -> list[JobView]:
        """Those that run now and can be asked."""
        return [view for view in self.users() if self.can_yield(view.job)]

    def users(self) -> list[JobView]:
        """All that run now, whether or not they can be asked; none when the jobs cannot be read."""
        try:
            running = self.store.views(states=[State.RUNNING])
        except (OSError, AvatarError) as error:
            log.warning("The jobs cannot be read: %s", error)
            return []
        return [view for view in running if self.uses_card(view.job) and _elsewhere(view)]

    def expects(self) -> bool:
        """Whether one of them is not on the card now, and may come to it."""
        return any(view.stage not in self.stages for view in self.users())

    def asked(self, view: JobView) -> Neighbour:
        """One of them, from now on asked for the card. Raises `OSError`, `NotFound`."""
        folder = self.store.folder(view.job.id)
        return Neighbour(
            folder, Control(folder).join(YIELD), self.stages, view.status.pid_here or 0, view.status.pid_started_at
        )


def _elsewhere(view: JobView) -> bool:
    """Whether another process of this machine does the work."""
    pid = view.status.pid_here
    if not pid or pid == os.getpid() or not process.alive(pid, view.status.pid_started_at):
        return False
    try:
        return CARRIER not in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


@dataclass
class Neighbour:
    """A job that was asked, and what its events say. `late`: it let somebody wait in vain, and is awaited no more."""

    folder: Path
    asker: Path
    stages: frozenset[str]
    pid: int
    since: float | None
    parked: bool = False
    on_card: bool = False
    ended: bool = False
    late: bool = False
    _read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self) -> None:
        """Read what is new; a torn last line is left for the next time."""
        with self._lock, (self.folder / EVENTS_FILE).open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._hear(line)

    def _hear(self, line: bytes) -> None:
        if b'"kind": "progress"' in line:  # nearly all are
            return
        parsed = parse(line.decode("utf-8", errors="replace"))
        event = parsed[1] if parsed else None
        if isinstance(event, Parked):
            self.parked = event.parked
        elif isinstance(event, Started | Stage):
            self.on_card = isinstance(event, Stage) and (event.within or event.name) in self.stages
            self.parked = self.ended = False
        elif isinstance(event, Done | Failed | Paused):
            self.ended = True

    def is_awaited(self) -> bool:
        """Whether it will answer, and has not."""
        try:
            self.look()
        except OSError:  # the job was deleted, or nothing is written yet
            return False
        if not self.on_card or self.parked or self.ended or self.late:
            return False
        return process.alive(self.pid, self.since) and not process.stopped(self.pid, self.since)
