"""Runs queued jobs, one at a time in each lane.

It survives restarts: what still runs is found again, what died is named.
"""
from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from personal_avatar.errors import Cancelled, Killed, QueueFull, WrongState, named
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs import process
from personal_avatar.jobs.control import CANCEL, DISCARD, Control
from personal_avatar.jobs.events import Done, EventWriter, Started, failure
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import NO_FILES, Job, JobStore, JobView, Status

InlineWork = Callable[[Job, Path, EventWriter, Control], dict]
Before = Callable[[Job, Path, EventWriter, Control], None]
POLL_S = 0.3
CANCEL_GRACE_S = 600.0
IDLE_S = 5.0
log = logging.getLogger(__name__)


class JobQueue:
    """Lanes of jobs by kind: `inline` kinds run in a thread of this process, all others as a child process.

    `on_end` is called once after each job that succeeded or that kept something, with the job and its result. `before`
    does in this process what a child cannot do for itself, right before the child is started. `pausable`: kinds whose
    work can stop between two steps and go on later.
    """

    def __init__(
        self,
        store: JobStore,
        inline: Mapping[str, InlineWork],
        trainer: Callable[[], TrainerPython],
        on_end: Callable[[Job, dict], None],
        before: Before | None = None,
        rules: Callable[[], Rules] = Rules,
        pausable: Collection[str] = (),
    ) -> None:
        self.store = store
        self._inline = inline
        self._trainer = trainer
        self._on_end = on_end
        self._before = before
        self._rules = rules
        self._pausable = frozenset(pausable)
        self._wake = threading.Condition()
        self._lanes: dict[str, threading.Thread] = {}

    def submit(
        self, kind: str, payload: object, *, title: str, user_id: str, avatar_id: str,
        files: Mapping[str, Path] = NO_FILES,
    ) -> Job:
        """Put a job at the end of its lane, with copies of `files` in its folder; raises `QueueFull`."""
        self.refuse_when_full()
        job = self.store.create(kind, payload, title=title, user_id=user_id, avatar_id=avatar_id, files=files)
        self.start_lane(kind)
        return job

    def refuse_when_full(self, more: int = 1) -> None:
        """Raise `QueueFull` when no `more` jobs may wait."""
        waiting = len(self.store.views(states=[State.QUEUED]))
        if waiting + more > self._rules().waiting:
            raise QueueFull(f"{waiting} jobs are waiting, and that is the limit.")

    def recover(self) -> None:
        """After a start: go on with what is queued, watch what still runs, name what died."""
        for view in self.store.views(states=ACTIVE):
            self.start_lane(view.job.kind)

    def start_lane(self, kind: str) -> None:
        """Make sure that a thread looks after the jobs of this kind."""
        with self._wake:
            lane = self._lanes.get(kind)
            if lane is None or not lane.is_alive():
                lane = threading.Thread(target=self._work, args=(kind,), name=f"avatar-{kind}", daemon=True)
                self._lanes[kind] = lane
                lane.start()
            self._wake.notify_all()

    def cancel(self, job_id: str, *, keep_checkpoint: bool = True) -> JobView:
        """Ask a job to end; a queued one ends at once. Raises `WrongState` when it has ended."""
        control = Control(self.store.folder(job_id))
        state = self.store.status(job_id).state
        if state not in ACTIVE:
            raise WrongState(f"The job is {state.value} already.", "Start a new one.")
        if not keep_checkpoint:
            control.ask(DISCARD)
        control.ask(CANCEL)
        if state is State.QUEUED and self.store.claim(job_id):
            self.store.fail(job_id, Cancelled("The job was cancelled before it began."), State.CANCELLED)
        return self.store.view(job_id)

    def run_here(self, job: Job) -> JobView:
        """Run one job in this thread until it has ended (the command line)."""
        if self.store.claim(job.id):
            self._run(job)
        while self.store.status(job.id).state in ACTIVE:
            time.sleep(POLL_S)
        return self.store.view(job.id)

    def wait(self, job_id: str, timeout_s: float) -> JobView:
        """The job as it is when it has ended, or after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while self.store.status(job_id).state in ACTIVE and time.monotonic() < end:
            time.sleep(POLL_S)
        return self.store.view(job_id)

    def _work(self, kind: str) -> None:
        while (job := self._await(kind)) is not None:
            self._run(job)

    def _await(self, kind: str) -> Job | None:
        """The next job of this kind, claimed for us; None when nothing is left to do, which ends the lane.

        All under the lock, so that a job that is submitted meanwhile either is seen here or starts a new lane.
        """
        with self._wake:
            while True:
                try:
                    left = self.store.active(kind)
                    mine = next((job for job in left if self.store.claim(job.id)), None)
                except OSError as error:
                    log.warning("The jobs cannot be read or claimed now: %s", error)
                else:
                    if mine is not None:
                        return mine
                    if not left:
                        del self._lanes[kind]
                        return None
                self._wake.wait(timeout=IDLE_S)

    def _run(self, job: Job) -> None:
        """Run a claimed job to its end; every outcome becomes a state."""
        try:
            status = self.store.status(job.id)
            if status.state is State.RUNNING:
                result = self._adopt(job, status)
            elif status.state is State.QUEUED:
                self.store.move(job.id, State.RUNNING)
                result = self._run_inline(job) if job.kind in self._inline else self._run_child(job)
            else:
                return
            self._on_end(job, result)
            self.store.move(job.id, State.SUCCEEDED)
        except Cancelled as error:
            self.store.fail(job.id, error, State.CANCELLED)
        except Exception as error:  # noqa: BLE001  the border: every failure of a job is named here
            self.store.fail(job.id, named(error))
        finally:
            self.store.release(job.id)

    def _run_inline(self, job: Job) -> dict:
        folder = self.store.folder(job.id)
        emit, control = EventWriter(folder), Control(folder)
        emit(Started(os.getpid()))
        try:
            control.check()
            result = self._inline[job.kind](job, folder, emit, control)
        except Exception as error:
            emit(failure(named(error)))
            raise
        emit(Done(result))
        return result

    def _run_child(self, job: Job) -> dict:
        folder = self.store.folder(job.id)
        self._make_ready(job, folder)
        before = process.oom_kills()
        child = process.start(folder, self._trainer())
        self.store.note_process(job.id, child.pid, process.started_at(child.pid))
        self._watch(job.id, lambda: child.poll() is None)
        return self._result(job, folder, child.wait(), before)

    def _make_ready(self, job: Job, folder: Path) -> None:
        if self._before is None:
            return
        emit = EventWriter(folder)
        try:
            self._before(job, folder, emit, Control(folder))
        except Exception as error:
            emit(failure(named(error)))
            raise

    def _adopt(self, job: Job, status: Status) -> dict:
        """Go on watching a child that outlived us; an inline job of a dead process cannot go on."""
        folder = self.store.folder(job.id)
        if job.kind in self._inline:
            raise Killed("The program was closed while this job ran.", "Start the job again.")
        before = process.oom_kills()
        self._watch(job.id, lambda: process.alive(status.pid, status.pid_started_at))
        return self._result(job, folder, None, before)

    def _watch(self, job_id: str, running: Callable[[], bool]) -> None:
        """Wait for a child; one that ignores a cancel for ten minutes is ended."""
        asked_at: float | None = None
        control = Control(self.store.folder(job_id))
        while running():
            if control.asked(CANCEL):
                asked_at = asked_at or time.monotonic()
                if time.monotonic() - asked_at > CANCEL_GRACE_S:
                    status = self.store.status(job_id)
                    process.kill(status.pid, status.pid_started_at)
            time.sleep(POLL_S)

    def _result(self, job: Job, folder: Path, exit_code: int | None, oom_kills_before: int) -> dict:
        ended = process.outcome(folder, exit_code, oom_kills_before)
        if isinstance(ended, Done):
            return ended.result
        if kept := process.kept(folder):
            self._on_end(job, kept)
        if Control(folder).asked(CANCEL) and not isinstance(ended, Cancelled):
            ended = Cancelled("The job was cancelled.")
        raise ended
