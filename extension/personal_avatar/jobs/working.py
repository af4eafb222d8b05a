"""The work of one claimed job: begun, or found at work already, and watched until it ends or rests."""
from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from personal_avatar.errors import AvatarError, Cancelled, Crashed, DiskFull, Killed
from personal_avatar.jobs import endings, process, whereabouts
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.events import Done, EventWriter, Log, Paused, Started, failure
from personal_avatar.jobs.kept import TEAM_FOLDER
from personal_avatar.jobs.means import Means, Waiting
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore, Status
from personal_avatar.jobs.watching import Watch
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.wording import text

SPARE_BYTES = 32 * 2**20  # events, log and status of a job; what its work needs, the work itself asks for
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Again:
    """The job goes back into the queue; `counts`: against how often it may do so after its process died."""

    why: str
    counts: bool = False


class Working:
    """Does the work of jobs, one at a time in each thread."""

    def __init__(self, store: JobStore, means: Means) -> None:
        self.store, self._means = store, means

    def work(self, job: Job) -> Done | Paused | Again | None:
        """What came of it; None when there is nothing to do. Raises what the work raised, or what its end means."""
        status = self.store.status(job.id)
        if status.state is State.RUNNING:
            return self._adopt(job, status)
        if status.state is not State.QUEUED:
            return None
        self.store.move(job.id, State.RUNNING)
        folder = self.store.folder(job.id)
        if isinstance(done := endings.last_word(folder), Done):
            return done  # all was done before, but its end could not be written
        self._refuse_full_disk(folder)
        return self._run_inline(job) if job.kind in self._means.inline else self._run_child(job)

    @staticmethod
    def _refuse_full_disk(folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        if free < SPARE_BYTES:
            raise stated(
                DiskFull, "failure.little_room", free=f"{free / 2**20:.0f}", folder=folder.parent,
                needed=SPARE_BYTES >> 20,
            )

    def _run_inline(self, job: Job) -> Done:
        folder = self.store.folder(job.id)
        emit, control = EventWriter(folder), Control(folder)
        emit(Started(os.getpid()))
        try:
            control.check()
            done = Done(self._means.inline[job.kind](job, folder, emit, control))
        except Exception as error:
            emit(failure(named(error)))
            raise
        emit(done)
        return done

    def _run_child(self, job: Job) -> Done | Paused | Again:
        folder = self.store.folder(job.id)
        control = Control(folder)
        if control.asked(PAUSE) and not control.asked(CANCEL):
            return Paused(0)
        if process.child_of(folder):
            EventWriter(folder)(Log(text("log.lives")))
            return self._adopt(job, self.store.status(job.id))
        self._make_ready(job, folder, control)
        before, after = endings.oom_kills(), self.store.status(job.id).heard
        child = process.start(folder, self._means.trainer(), self._means.executor())
        try:
            watch = self._watched(job, child)
        except Exception:  # no process goes on that nobody looks after
            _end(child)
            raise
        process.sweep(child.pid, folder)
        _clear(folder)
        return self._ending(job, watch, endings.outcome(folder, child.wait(), before, after), after)

    def _watched(self, job: Job, child: subprocess.Popen[bytes]) -> Watch:
        """The watch over a child that was started just now, when it has ended."""
        since = process.started_at(child.pid)
        self.store.note_process(job.id, child.pid, since)
        watch = Watch(self.store.folder(job.id), child.pid, since)
        self._wait(watch, lambda: child.poll() is None)
        return watch

    def _make_ready(self, job: Job, folder: Path, control: Control) -> None:
        """What comes before the first start of a child, and before each: one that goes on has what was prepared."""
        goes_on = endings.has_state(folder)
        if not goes_on:
            control.check()
        emit = EventWriter(folder)
        try:
            if self._means.before is not None and not goes_on:
                self._means.before(job, folder, emit, control)
            if self._means.before_each is not None:
                with endings.asking_for_the_base(folder):
                    self._means.before_each(job, _waiting(emit, control, goes_on))
        except Exception as error:
            emit(failure(named(error)))
            raise

    def _adopt(self, job: Job, status: Status) -> Done | Paused | Again:
        """Go on watching a child that outlived us; an inline job of a dead process cannot go on."""
        folder = self.store.folder(job.id)
        if job.kind in self._means.inline:
            raise stated(Killed, "ending.closed", "ending.hint.again")
        if not process.works(folder, status) and (found := process.child_of(folder)):
            self.store.note_process(job.id, found, process.started_at(found))
            status = self.store.status(job.id)
        if status.pid is None and status.restarts < self._means.rules().restarts:
            return Again(text("log.never_began"), counts=True)
        before, after = endings.oom_kills(), status.heard
        pid, since = status.pid_here, status.pid_started_at
        is_far = pid != status.pid
        if is_far and process.works(folder, status):
            minutes = f"{whereabouts.ORPHAN_S / 60:.0f}"
            EventWriter(folder)(Log(text("log.far", host=whereabouts.host_of(status.place), number=minutes)))
        watch = Watch(folder, pid, since)
        try:
            self._wait(watch, lambda: process.works(folder, status))
        except Exception:
            process.kill(pid, since)
            raise
        if pid and not process.rebooted(since):
            process.sweep(pid, folder)
        _clear(folder)
        is_silent = endings.last_word(folder, after) is None
        if is_far and is_silent:
            EventWriter(folder)(Log(text("log.far_gone", host=whereabouts.host_of(status.place))))
        if process.rebooted(since) and is_silent and self._means.pausable(job):
            return Again(text("log.interrupted" if is_far else "log.rebooted"))
        return self._ending(job, watch, endings.outcome(folder, None, before, after), after)

    def _wait(self, watch: Watch, running: Callable[[], bool]) -> None:
        """Until the process has ended. A look that fails, as when no file can be opened, is not its end."""
        trouble = ""
        while True:
            try:
                if not running():
                    return
                watch.look()
            except (OSError, psutil.Error) as error:
                if str(error) != trouble:
                    log.warning("A running job cannot be looked at now: %s", error)
                trouble = str(error)
            time.sleep(self._means.poll_s())

    def _ending(self, job: Job, watch: Watch, ended: Done | Paused | AvatarError, after: int) -> Done | Paused | Again:
        """What a child's end means; raises its error, as `Cancelled` when the end was wanted."""
        if isinstance(ended, Done | Paused):
            return ended
        folder = self.store.folder(job.id)
        control = Control(folder)
        if kept := endings.kept(folder, after):
            self._take(job, kept, control)
        if (again := self._another_try(job, folder, ended, after)) and not watch.killed and not control.asked(DISCARD):
            return again
        if control.asked(CANCEL) and not isinstance(ended, Cancelled):
            raise stated(Cancelled, "ending.cancelled")
        if isinstance(ended, Killed) and self._is_kept(job, folder):
            ended.hint = text("ending.hint.resume")
        raise ended

    def _take(self, job: Job, kept: dict[str, Any], control: Control) -> None:
        """What was kept; a job that was to end is cancelled also where that is of no use."""
        try:
            self._means.on_end(job, kept)
        except AvatarError as error:
            if not control.asked(CANCEL):
                raise
            raise stated(Cancelled, "ending.cancelled", "ending.hint.useless", cause=error.message) from error

    def _is_kept(self, job: Job, folder: Path) -> bool:
        """Whether the work left all that it needs to go on."""
        return endings.has_state(folder) and self._means.pausable(job)

    def _another_try(self, job: Job, folder: Path, ended: AvatarError, after: int) -> Again | None:
        """For a job whose process died without a word, and left all that is needed to go on."""
        died = isinstance(ended, Killed | Crashed) and endings.last_word(folder, after) is None
        restarts, limit = self.store.status(job.id).restarts, self._means.rules().restarts
        if died and restarts < limit and self._is_kept(job, folder):
            return Again(text("log.died", cause=ended.message, number=restarts + 1, total=limit), counts=True)
        return None


def _waiting(emit: EventWriter, control: Control, goes_on: bool) -> Waiting:
    """Tells of each wait once. What was done before is kept by a process, which whoever cancels waits for, too."""
    told: set[str] = set()

    def waiting(why: str) -> None:
        if not goes_on or control.asked(DISCARD):
            control.check()
        if why not in told:
            told.add(why)
            emit(Log(why))

    return waiting


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def _clear(folder: Path) -> None:
    """Away with what a process that ended at once could not take along: copies of all weights, perhaps."""
    shutil.rmtree(folder / TEAM_FOLDER, ignore_errors=True)
