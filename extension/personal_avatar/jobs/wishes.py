"""What can be asked of a job: to pause, to go on, to end, to be next. A call does it, or raises and changes nothing."""
from __future__ import annotations

import os
import time
from collections.abc import Callable

from personal_avatar.errors import Cancelled, InvalidSettings, NotAlike, SelfTestFailed, WrongState
from personal_avatar.jobs import endings
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.events import Done
from personal_avatar.jobs.running import Runner
from personal_avatar.jobs.states import ENDED, RESTING, State
from personal_avatar.jobs.store import Job, JobStore
from personal_avatar.problems import stated

CLAIM_S = 5.0
FOUND_WANTING = (SelfTestFailed.code, NotAlike.code)
PRIORITIES = range(-10, 11)  # that can be asked for


class Wishes:
    """`refuse_when_full`: raises `QueueFull` when no job of a user may wait; `changed`: called when a job at rest may
    have changed."""

    def __init__(
        self, store: JobStore, runner: Runner, pausable: Callable[[Job], bool],
        refuse_when_full: Callable[[str], None], changed: Callable[[], None],
    ) -> None:
        self.store, self._runner, self._pausable = store, runner, pausable
        self._refuse_when_full, self._changed = refuse_when_full, changed

    def pause(self, job_id: str) -> None:
        """Ask a job to stop between two steps and to keep all that it needs to go on; one that waits does not run until
        it is resumed. Raises `WrongState` for what cannot."""
        job, control = self.store.job(job_id), Control(self.store.folder(job_id))
        state = self.store.status(job_id).state
        if state in RESTING:
            raise WrongState(f"The job is {state.value}; only one that runs or waits can be paused.")
        if not self._pausable(job):
            raise WrongState("Such a job cannot be paused.", "Cancel the job, or let it go on.")
        if control.asked(CANCEL):
            raise WrongState("The job is being cancelled.", "Wait until it has ended.")
        if state is State.RUNNING or not self._at_rest(job_id, lambda: self._pause_waiting(job_id)):
            control.ask(PAUSE)

    def hold(self, job_id: str) -> None:
        """Let a job that waits rest until it is resumed: for that its work need not be one that can be interrupted.
        Raises `WrongState` for one that does not wait."""
        if not self._at_rest(job_id, lambda: self._pause_waiting(job_id)):
            state = self.store.status(job_id).state.value
            raise WrongState(f"The job is {state}; only one that waits can be held back.")

    def _pause_waiting(self, job_id: str) -> bool:
        """True when the job waited, and is paused now."""
        waits = self.store.status(job_id).state is State.QUEUED
        if waits:
            self.store.move(job_id, State.PAUSED)
        return waits

    def resume(self, job_id: str) -> None:
        """Let a paused job go on, or one that failed and left all that it needs. Raises `WrongState` for what cannot,
        `QueueFull`."""
        job, control = self.store.job(job_id), Control(self.store.folder(job_id))
        if not self._at_rest(job_id, lambda: self._resume_resting(job, control)):
            self._take_back_pause(job_id, control)
            if self.store.status(job_id).state is State.PAUSED:  # it came to rest meanwhile
                self._at_rest(job_id, lambda: self._resume_resting(job, control))

    def _resume_resting(self, job: Job, control: Control) -> bool:
        """True when the job rested, and waits now."""
        state, folder = self.store.status(job.id).state, self.store.folder(job.id)
        if state in (State.QUEUED, State.RUNNING):
            return False
        done = isinstance(endings.last_word(folder), Done)
        if state is State.FAILED and not done and not has_photos(job):
            raise WrongState("The photos of this job were replaced or erased since it failed.", "Start a new one.")
        if state is State.FAILED and not self.can_go_on(job, done):
            raise WrongState("The job failed and left nothing from which it could go on.", "Start a new one.")
        again = {"error": None, "ended_at": None, "restarts": 0} if state is State.FAILED else {}
        if state in (State.PAUSED, State.FAILED):
            self._refuse_when_full(job.user_id)
            for wish in (PAUSE, CANCEL, DISCARD):
                control.withdraw(wish)
            self.store.move(job.id, State.QUEUED, pid=None, pid_started_at=None, **again)
            return True
        raise WrongState(f"The job is {state.value}; only a paused one can be resumed.", "Start a new one.")

    def can_go_on(self, job: Job, done: bool) -> bool:
        """Whether a job that failed can be resumed: its work left its state, and its photos are there, or it was
        `done`, as its last word says, and only its end could not be written, as on a full disk. What was made and then
        found wanting would be so again."""
        if (self.store.status(job.id).error or {}).get("code") in FOUND_WANTING:
            return False
        return done or (endings.has_state(self.store.folder(job.id)) and self._pausable(job) and has_photos(job))

    def _take_back_pause(self, job_id: str, control: Control) -> None:
        if not control.asked(PAUSE) or control.asked(CANCEL):
            state = self.store.status(job_id).state.value
            raise WrongState(f"The job is {state}; only a paused one can be resumed.", "Nothing has to be done.")
        control.withdraw(PAUSE)

    def cancel(self, job_id: str, keep_checkpoint: bool) -> None:
        """Ask a job to end; one that does not run ends at once, unless it has something to keep: then it is taken up
        once more to do that. Raises `WrongState` when it has ended."""
        control = Control(self.store.folder(job_id))
        state = self.store.status(job_id).state
        if state in ENDED:
            raise WrongState(f"The job is {state.value} already.", "Start a new one.")
        if not keep_checkpoint:
            control.ask(DISCARD)
        control.ask(CANCEL)
        control.withdraw(PAUSE)
        self._at_rest(job_id, lambda: self._cancel_resting(job_id, keep_checkpoint))

    def _cancel_resting(self, job_id: str, keep: bool) -> bool:
        """True when the job neither ran nor runs."""
        state = self.store.status(job_id).state
        if state not in (State.QUEUED, State.PAUSED):
            return False
        if not (keep and endings.has_state(self.store.folder(job_id))):
            when = "waiting" if state is State.QUEUED else "paused"
            self._runner.end(job_id, stated(Cancelled, f"ending.cancelled.{when}"))
        elif state is State.PAUSED:
            self.store.move(job_id, State.QUEUED)
        return True

    def prioritise(self, job_id: str, priority: int | None) -> None:
        """Let a waiting job be taken sooner or later; None: before all others of its line, as far as `PRIORITIES` go.
        Raises `WrongState` for one that does not wait, `InvalidSettings` for what is outside of `PRIORITIES`."""
        if priority is not None and priority not in PRIORITIES:
            raise InvalidSettings(f"priority must be in [{PRIORITIES[0]}, {PRIORITIES[-1]}], got {priority}.")
        kind = self.store.job(job_id).kind

        def change() -> bool:
            waits = self.store.status(job_id).state is State.QUEUED
            if waits:
                self.store.set_priority(job_id, self._before_all(job_id, kind) if priority is None else priority)
            return waits

        if not self._at_rest(job_id, change):
            state = self.store.status(job_id).state.value
            raise WrongState(f"The job is {state}; only one that waits can be taken sooner or later.")

    def _before_all(self, job_id: str, kind: str) -> int:
        """The lowest priority with which a job is taken before the others that wait; its own where it is already."""
        views = self.store.in_line(kind, [State.QUEUED])
        own = [view for view in views if view.job.id == job_id]
        if own and own[0].position == 1:
            return own[0].priority
        highest = max((view.priority for view in views if view.job.id != job_id), default=-1)
        return min(PRIORITIES[-1], max(0, highest + 1))

    def _at_rest(self, job_id: str, change: Callable[[], bool]) -> bool:
        """Change a job that nobody runs, while nobody can begin to; False when somebody does, or `change` says so."""
        if not self._claimed_at_rest(job_id):
            return False
        try:
            return change()
        finally:
            self.store.release(job_id)
            self._changed()

    def _claimed_at_rest(self, job_id: str) -> bool:
        """Who has just brought a job to rest, or is about to begin it, has its claim for a moment."""
        end = time.monotonic() + CLAIM_S
        while not self.store.claim(job_id):
            if self.store.status(job_id).state is State.RUNNING or time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True


def has_photos(job: Job) -> bool:
    """Whether all photos that the job was given are still there; those that it refused go with another's success."""
    return all(os.path.isfile(photo) for photo in job.payload.get("photos") or () if isinstance(photo, str))
