"""The queue: jobs are submitted, paused, resumed and cancelled here, and run in lanes by kind.

It survives restarts: what still runs is found again, what died is taken up again or named. Each call does what it says,
or raises and changes nothing.
"""
from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path

from personal_avatar.errors import JobDamaged, QueueFull
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs import left
from personal_avatar.jobs.control import AWAITED, Control
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.jobs.executors import LOCAL, Executor
from personal_avatar.jobs.lanes import Lanes, Taken
from personal_avatar.jobs.means import Advise, Before, BeforeEach, InlineWork, Listener, Means
from personal_avatar.jobs.running import Runner
from personal_avatar.jobs.states import ENDED, RESTING, State
from personal_avatar.jobs.store import NO_FILES, Job, JobStore, JobView
from personal_avatar.jobs.wishes import Wishes
from personal_avatar.wording import text

POLL_S = 0.3
IDLE_S = 5.0
RUNS_OR_WAITS = (State.RUNNING, State.QUEUED)
log = logging.getLogger(__name__)


def never(job: Job) -> bool:
    """No work of any job can be interrupted."""
    return False


class JobQueue:
    """Lanes of jobs by kind: `inline` kinds run in a thread of this process, all others as a child process.

    `on_end` is called once after each job that succeeded or that kept something, with the job and its result. `before`
    does in this process what a child cannot do for itself, right before the child is started for the first time;
    `before_each`: right before each start. `host`: the name of the program; inline jobs that another one accepted are
    left to it. `serves`: whether it looks after the jobs of the folder; else it runs only what `run_here` is given.
    `pausable`: whether the work of a job can stop between two steps and go on later. `executor`: where children run,
    and how many of a kind at the same time, those of other programs on this data folder included. `advise`: a failure
    with better advice, which is stored in its place. Kinds that wait in one line (JobStore) count as one where there is
    room for so many of a kind.
    """

    def __init__(
        self,
        store: JobStore,
        inline: Mapping[str, InlineWork],
        trainer: Callable[[], TrainerPython],
        on_end: Callable[[Job, dict], None],
        before: Before | None = None,
        rules: Callable[[], Rules] = Rules,
        pausable: Callable[[Job], bool] = never,
        executor: Callable[[], Executor] = lambda: LOCAL,
        advise: Advise = lambda job, error: error,
        before_each: BeforeEach | None = None,
        host: str = "",
        serves: bool = True,
    ) -> None:
        self.store = store
        self._host, self._serves = host, serves
        self._inline = inline
        self._rules = rules
        self._executor = executor
        self._runner = Runner(store, Means(
            inline, trainer, on_end, before, before_each, rules, pausable, executor, lambda: POLL_S, advise,
        ))
        self._lanes = Lanes(self._take, self._runner.run, self._width, lambda: IDLE_S)
        self._wishes = Wishes(
            store, self._runner, pausable, lambda user_id: self.refuse_when_full(user_id=user_id), self._lanes.wake,
        )
        self._watched = False

    def listen(self, listener: Listener) -> None:
        """Have it called once after each job has ended, in the thread that ended it; its errors are logged."""
        self._runner.listeners.append(listener)

    # -- in

    def submit(
        self, kind: str, payload: object, *, title: str, user_id: str, avatar_id: str,
        files: Mapping[str, Path] = NO_FILES, priority: int = 0,
    ) -> Job:
        """Put a job into the queue, with copies of `files` in its folder; raises `QueueFull`."""
        self.refuse_when_full(user_id=user_id)
        job = self.store.create(
            kind, payload, title=title, user_id=user_id, avatar_id=avatar_id, files=files, priority=priority,
            host=self._host,
        )
        self.start_lane(kind)
        return job

    def refuse_when_full(self, more: int = 1, user_id: str | None = None) -> None:
        """Raise `QueueFull` when no `more` jobs may wait, of all users or of this one."""
        rules, waiting = self._rules(), self.store.count(states=[State.QUEUED])
        if waiting + more > rules.waiting:
            raise QueueFull(text("error.QUEUE_FULL.all", n=waiting))
        if user_id is None:
            return
        own = self.store.count(states=[State.QUEUED], user_id=user_id)
        if own + more > rules.waiting_of_one:
            raise QueueFull(text("error.QUEUE_FULL.one", n=own, user=user_id))

    def recover(self) -> None:
        """After a start: go on with what is queued, watch what still runs, name what died; from now on also what other
        programs leave behind on this data folder."""
        self.store.mend()
        self._start_lanes()
        if not self._watched:
            self._watched = True
            threading.Thread(target=_watch_over, args=(weakref.ref(self),), name="avatar-jobs", daemon=True).start()

    def settle(self) -> None:
        """Bring to an end or back into the queue what programs left that are gone, and that does not run any more."""
        left.settle(self.store, self._runner)

    def _try_to_settle(self) -> None:
        try:
            self.settle()
        except Exception as error:  # noqa: BLE001  as in `_watch_over`: whoever waits here is not concerned
            log.warning("What other programs left cannot be settled now: %s", error)

    def _start_lanes(self) -> None:
        for kind in {view.job.kind for view in self.store.views(states=RUNS_OR_WAITS) if self.is_ours(view)}:
            self.start_lane(kind)

    def start_lane(self, kind: str) -> None:
        """Make sure that threads look after the jobs of this kind, and of those that wait in line with it."""
        for one in self.store.line_of(kind) if self._serves else ():
            self._lanes.start(one)

    # -- wishes

    def pause(self, job_id: str) -> JobView:
        """Ask a job to stop between two steps; raises `WrongState`. See `Wishes.pause`."""
        self._wishes.pause(job_id)
        return self.store.view(job_id)

    def hold(self, job_id: str) -> None:
        """Let a job that waits rest until it is resumed, of whatever kind it is; raises `WrongState`."""
        self._wishes.hold(job_id)

    def resume(self, job_id: str, *, here: bool = True) -> JobView:
        """Let a job go on; raises `WrongState`, `QueueFull`. See `Wishes.resume`. `here`: whether this program looks
        after the jobs of its kind from now on."""
        job = self.store.job(job_id)
        self._wishes.resume(job_id)
        if here:
            self.start_lane(job.kind)
        return self.store.view(job_id)

    def cancel(self, job_id: str, *, keep_checkpoint: bool = True, here: bool = True) -> JobView:
        """Ask a job to end; raises `WrongState`. See `Wishes.cancel`. `here`: as in `resume`."""
        job = self.store.job(job_id)
        self._wishes.cancel(job_id, keep_checkpoint)
        if here and self.store.status(job_id).state not in ENDED:
            self.start_lane(job.kind)
        return self.store.view(job_id)

    def can_go_on(self, view: JobView) -> bool:
        """Whether a job that failed can be resumed."""
        failed = view.status.state is State.FAILED and (view.status.error or {}).get("code") != JobDamaged.code
        return failed and self._wishes.can_go_on(view.job, view.done)

    def prioritise(self, job_id: str, priority: int | None = None) -> JobView:
        """Let a waiting job be taken sooner or later, None: next; raises `WrongState`. See `Wishes.prioritise`."""
        self._wishes.prioritise(job_id, priority)
        return self.store.view(job_id)

    # -- waiting

    def run_here(self, job: Job) -> JobView:
        """Run one job in this thread until it has ended or rests (the command line), as soon as there is room; what
        programs left that are gone takes none."""
        told, looked_at = False, time.monotonic()
        with Control(self.store.folder(job.id)).joined(AWAITED):
            while (state := self.store.status(job.id).state) not in RESTING:
                if self._claim(job, state):
                    self._runner.run(job)
                    continue
                if not told and state is State.QUEUED and not self.store.is_claimed(job.id):
                    told = True
                    EventWriter(self.store.folder(job.id))(Log(text("log.no_room")))
                if time.monotonic() - looked_at > IDLE_S:
                    self._try_to_settle()
                    looked_at = time.monotonic()
                time.sleep(POLL_S)
        return self.store.view(job.id)

    def wait(self, job_id: str, timeout_s: float) -> JobView:
        """The job as it is when it has ended or rests, or after `timeout_s`."""
        end = time.monotonic() + timeout_s
        while self.store.status(job_id).state not in RESTING and time.monotonic() < end:
            time.sleep(POLL_S)
        return self.store.view(job_id)

    def is_ours(self, view: JobView) -> bool:
        """Whether this program may run the job as it is now."""
        return self._may_run(view.job, view.status.state)

    def waits_in_vain(self, view: JobView) -> bool:
        """Whether a job waits, and nothing shows that any program takes it: neither this one nor one that was given it
        to run (`run_here`) nor, as nobody has a job of its line and this one was left for longer than others look away,
        another."""
        if self._serves or view.status.state is not State.QUEUED or time.time() - view.job.created_at < 2 * IDLE_S:
            return False
        if Control(self.store.folder(view.job.id)).asked(AWAITED):
            return False
        line = self.store.in_line(view.job.kind, RUNS_OR_WAITS)
        return not any(self.store.is_claimed(one.job.id) for one in line)

    def _may_run(self, job: Job, state: State) -> bool:
        """Work within a program is begun by the one that accepted it; any may say what became of one that is gone."""
        inline_elsewhere = job.kind in self._inline and job.host not in ("", self._host)
        return state is State.RUNNING or not inline_elsewhere

    # -- lanes

    def _width(self, kind: str) -> int:
        return 1 if kind in self._inline else max(1, self._executor().width)

    def _take(self, kind: str) -> Taken:
        """The next job of a kind: first what runs and is watched by nobody any more, then who is next in the queue."""
        views = [view for view in self.store.views(states=RUNS_OR_WAITS, kind=kind) if self.is_ours(view)]
        running = [view for view in views if view.status.state is State.RUNNING]
        waiting = sorted((view for view in views if view.status.state is State.QUEUED), key=lambda view: view.position)
        for view in running:
            if self._claim(view.job, State.RUNNING):
                return Taken(view.job, True)
        if kind in self._inline or len(running) < self._width(kind):
            busy = {view.job.avatar_id for view in running} - {""}
            for view in waiting:
                if (kind in self._inline or view.job.avatar_id not in busy) and self._claim(view.job, State.QUEUED):
                    return Taken(view.job, True)
        return Taken(None, bool(views))

    def _claim(self, job: Job, state: State) -> bool:
        """Have a job for ourselves; one that waits only while there is room for it."""
        if state is State.RUNNING or job.kind in self._inline:
            return self._may_run(job, state) and self.store.claim(job.id)
        return self.store.claim(job.id, lambda: self._has_room(job))

    def _has_room(self, job: Job) -> bool:
        """Whether a job may begin beside those that others have begun or are about to, and before those of other kinds
        in its line. Two trainings of one avatar never run at the same time: they share its folder."""
        alike = self.store.in_line(job.kind, RUNS_OR_WAITS)
        others = [view for view in alike if view.job.id != job.id]
        begun = [view for view in others
                 if view.status.state is State.RUNNING or self.store.is_claimed(view.job.id)]
        busy = {view.job.avatar_id for view in begun} - {""}
        if len(begun) >= self._width(job.kind) or job.avatar_id in busy:
            return False
        place = next((view.position for view in alike if view.job.id == job.id), 0)
        return not any(
            view.job.kind != job.kind and view.position < place and view.job.avatar_id not in busy
            and view not in begun and self.is_ours(view) for view in others
        )


def _watch_over(queue: weakref.ref[JobQueue]) -> None:
    """Look after what other programs leave behind, for as long as the queue is in use."""
    while (mine := queue()) is not None:
        try:
            mine._start_lanes()
        except Exception as error:  # noqa: BLE001  a damaged folder, a full disk: it may be mended
            log.warning("The jobs cannot be read now: %s", error)
        del mine
        time.sleep(IDLE_S)
