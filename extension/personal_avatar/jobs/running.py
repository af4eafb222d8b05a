"""Runs one claimed job from its state to the next: to its end, to its rest, or back into the queue."""
from __future__ import annotations

import logging
import shutil
import time
from contextlib import suppress

from personal_avatar.errors import AvatarError, Cancelled, NotFound
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.events import Done, EventWriter, Log, Paused
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER, STATE_FOLDER
from personal_avatar.jobs.means import Listener, Means
from personal_avatar.jobs.states import ENDED, State
from personal_avatar.jobs.store import Job, JobStore
from personal_avatar.jobs.working import Again, Working
from personal_avatar.naming import named
from personal_avatar.problems import stated
from personal_avatar.wording import text

RELEASE_TRIES = 100
LOG_CHARACTERS = 2000
log = logging.getLogger(__name__)


class Runner:
    """`listeners` are called with each job that has ended."""

    def __init__(self, store: JobStore, means: Means) -> None:
        self.store, self._means = store, means
        self._working = Working(store, means)
        self.listeners: list[Listener] = []

    def run(self, job: Job) -> None:
        """Every outcome of a claimed job becomes a state, and the claim is given back."""
        try:
            self._settle(job, self._working.work(job))
        except Exception as error:  # the border: every failure of a job is named here
            if not isinstance(error, AvatarError) or error.__cause__ is not None:
                log.exception("The job %s failed.", job.id)  # all that a library said; a job keeps its first line
            self.end(job.id, named(error))
        finally:
            self._release(job.id)

    def end(self, job_id: str, error: AvatarError | None = None) -> None:
        """Bring a job to its end, cancelled, failed or, without an error, succeeded, and tell those who listen. What
        only taking it up again could need goes first."""
        if error is None or isinstance(error, Cancelled):
            self._drop_state(job_id)
        if isinstance(error, Cancelled) and error.result is None:
            self._drop_unwanted(job_id)
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

    def _drop_unwanted(self, job_id: str) -> None:
        """What was saved by work of which nothing was to be kept; what was shown of it meanwhile stays."""
        with suppress(NotFound, OSError):
            folder = self.store.folder(job_id)
            for saved in (folder / ARTIFACTS_FOLDER).glob("*") if Control(folder).asked(DISCARD) else ():
                if saved.is_file():
                    saved.unlink()

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
                raise stated(Cancelled, "ending.cancelled")
            self._again(job, Again(text("log.keeping")))
        elif control.asked(PAUSE):
            self._leave(job.id, State.PAUSED)
        else:
            self._again(job, Again(text("log.interrupted")))

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
            raise stated(Cancelled, "ending.cancelled")
        if control.asked(CANCEL) or not control.asked(PAUSE):
            self.store.move(job_id, State.QUEUED)
