"""Runs one claimed job from its state to the next: to its end, to its rest, or back into the queue."""
from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from personal_avatar.errors import AvatarError, Cancelled, Crashed, DiskFull, Killed, NotFound, named
from personal_avatar.jobs import endings, process
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.events import Done, EventWriter, Log, Paused, Started, failure
from personal_avatar.jobs.kept import STATE_FOLDER
from personal_avatar.jobs.means import Listener, Means
from personal_avatar.jobs.states import ENDED, State
from personal_avatar.jobs.store import Job, JobStore, Status
from personal_avatar.jobs.watching import Watch

RELEASE_TRIES = 100
SPARE_BYTES = 32 * 2**20  # events, log and status of a job; what its work needs, the work itself asks for
DIED = "It is taken up again from its last saved state ({number} of at most {limit} times)."
INTERRUPTED = "The job was interrupted from outside between two steps, and goes on."
REBOOTED = "The machine was restarted while the job ran; it goes on."
NEVER_BEGAN = "The program ended before it could start the job's process; the job is begun again."
LIVES = "A process of this job is at work already; it goes on."
KEEPING = "The job is taken up once more, to keep the best of what it has."
LOG_CHARACTERS = 2000
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Again:
    """The job goes back into the queue; `counts`: against how often it may do so after its process died."""

    why: str
    counts: bool = False


class Runner:
    """`listeners` are called with each job that has ended."""

    def __init__(self, store: JobStore, means: Means) -> None:
        self.store, self._means = store, means
        self.listeners: list[Listener] = []

    def run(self, job: Job) -> None:
        """Every outcome of a claimed job becomes a state, and the claim is given back."""
        try:
            self._settle(job, self._work(job))
        except Exception as error:  # noqa: BLE001  the border: every failure of a job is named here
            self.end(job.id, named(error))
        finally:
            self._release(job.id)

    def end(self, job_id: str, error: AvatarError | None = None) -> None:
        """Bring a job to its end, cancelled, failed or, without an error, succeeded, and tell those who listen. What
        only taking it up again could need goes first."""
        if error is None or isinstance(error, Cancelled):
            self._drop_state(job_id)
        if error is None:
            self.store.move(job_id, State.SUCCEEDED)
        else:
            ended = State.CANCELLED if isinstance(error, Cancelled) else State.FAILED
            self.store.fail(job_id, self._with_log(job_id, self._advised(job_id, error)), ended)
        self._tell(job_id)

    def _with_log(self, job_id: str, error: AvatarError) -> AvatarError:
        """With the end of what the job's process printed, for whoever looks for the cause."""
        try:
            printed = "" if isinstance(error, Cancelled) else self.store.log_tail(job_id, LOG_CHARACTERS).strip()
        except (NotFound, OSError):
            return error
        if printed:
            error.details = {**error.details, "log": printed}
        return error

    def _advised(self, job_id: str, error: AvatarError) -> AvatarError:
        try:
            return self._means.advise(self.store.job(job_id), error)
        except Exception:  # the failure is told as it is
            log.exception("job %s: no advice was found", job_id)
            return error

    def _tell(self, job_id: str) -> None:
        try:
            view = self.store.view(job_id)
        except (NotFound, OSError, ValueError) as error:
            log.warning("Nobody can be told how %s ended: %s", job_id, error)
            return
        for listener in self.listeners if view.status.state in ENDED else ():
            try:
                listener(view)
            except Exception:  # a listener is not a part of the job
                log.exception("A listener failed at the end of %s.", job_id)

    def _drop_state(self, job_id: str) -> None:
        try:
            shutil.rmtree(self.store.folder(job_id) / STATE_FOLDER, ignore_errors=True)
        except NotFound:
            return

    def _release(self, job_id: str) -> None:
        for _ in range(RELEASE_TRIES):
            try:
                self.store.release(job_id)
                return
            except OSError as error:
                log.warning("The claim on %s could not be given back: %s", job_id, error)
                time.sleep(self._means.poll_s())

    # -- from what the work said to the next state

    def _settle(self, job: Job, said: Done | Paused | Again | None) -> None:
        if isinstance(said, Done):
            self._means.on_end(job, said.result)
            self.end(job.id)
        elif isinstance(said, Paused):
            self._rest(job, said)
        elif isinstance(said, Again):
            self._again(job, said)

    def _rest(self, job: Job, said: Paused) -> None:
        """The work stopped between two steps: somebody wanted a pause, or the end, or it had reasons of its own."""
        control = Control(self.store.folder(job.id))
        if control.asked(CANCEL):
            if control.asked(DISCARD):
                raise Cancelled("The job was cancelled.", "")
            self._again(job, Again(KEEPING))
        elif control.asked(PAUSE):
            self._leave(job.id, State.PAUSED)
        else:
            self._again(job, Again(INTERRUPTED))

    def _again(self, job: Job, again: Again) -> None:
        folder = self.store.folder(job.id)
        wanted = Control(folder)
        rests = wanted.asked(PAUSE) and not wanted.asked(CANCEL)
        EventWriter(folder)(Log(again.why))
        restarts = self.store.status(job.id).restarts + again.counts
        self._leave(job.id, State.PAUSED if rests else State.QUEUED, restarts)

    def _leave(self, job_id: str, state: State, restarts: int | None = None) -> None:
        more = {} if restarts is None else {"restarts": restarts}
        self.store.move(job_id, state, pid=None, pid_started_at=None, **more)
        if state is State.PAUSED:
            self._look_again(job_id)

    def _look_again(self, job_id: str) -> None:
        """What was wished while the job was brought to rest was told to one that ran. From here on whoever wishes waits
        for the claim."""
        control = Control(self.store.folder(job_id))
        if control.asked(CANCEL) and control.asked(DISCARD):
            raise Cancelled("The job was cancelled.", "")
        if control.asked(CANCEL) or not control.asked(PAUSE):
            self.store.move(job_id, State.QUEUED)

    # -- the work

    def _work(self, job: Job) -> Done | Paused | Again | None:
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
            raise DiskFull(
                f"Only {free / 2**20:.0f} MB are free on the disk of {folder.parent};"
                f" a job needs {SPARE_BYTES >> 20} MB to begin with."
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
            EventWriter(folder)(Log(LIVES))
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
                self._means.before_each(job)
        except Exception as error:
            emit(failure(named(error)))
            raise

    def _adopt(self, job: Job, status: Status) -> Done | Paused | Again:
        """Go on watching a child that outlived us; an inline job of a dead process cannot go on."""
        folder = self.store.folder(job.id)
        if job.kind in self._means.inline:
            raise Killed("The program was closed while this job ran.", "Start the job again.")
        pid, since = status.pid, status.pid_started_at
        if not process.alive(pid, since) and (found := process.child_of(folder)):
            pid, since = found, process.started_at(found)
            self.store.note_process(job.id, found, since)
        if pid is None and status.restarts < self._means.rules().restarts:
            return Again(NEVER_BEGAN, counts=True)
        before, after = endings.oom_kills(), status.heard
        watch = Watch(folder, pid, since)
        try:
            self._wait(watch, lambda: process.alive(pid, since))
        except Exception:
            process.kill(pid, since)
            raise
        if pid and not process.rebooted(since):
            process.sweep(pid, folder)
        if process.rebooted(since) and endings.last_word(folder, after) is None and self._means.pausable(job):
            return Again(REBOOTED)
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
        if kept := endings.kept(folder, after):
            self._means.on_end(job, kept)
        control = Control(folder)
        if (again := self._another_try(job, folder, ended, after)) and not watch.killed and not control.asked(DISCARD):
            return again
        if control.asked(CANCEL) and not isinstance(ended, Cancelled):
            raise Cancelled("The job was cancelled.")
        raise ended

    def _another_try(self, job: Job, folder: Path, ended: AvatarError, after: int) -> Again | None:
        """For a job whose process died without a word, and left all that is needed to go on."""
        died = isinstance(ended, Killed | Crashed) and endings.last_word(folder, after) is None
        restarts, limit = self.store.status(job.id).restarts, self._means.rules().restarts
        if died and restarts < limit and endings.has_state(folder) and self._means.pausable(job):
            return Again(f"{ended.message} {DIED.format(number=restarts + 1, limit=limit)}", counts=True)
        return None


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
