"""Random calls, deaths and restarts against a model: each call does what it says, or raises and changes nothing.

The child is played: it speaks in real events, heeds real wishes and leaves a real state, without a process.
"""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from personal_avatar.errors import Cancelled, NotFound, QueueFull, WrongState
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs import endings, kept, process
from personal_avatar.jobs.claims import CLAIM_FILE
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.events import Done, EventWriter, Failed, Paused, Started
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import ACTIVE, ENDED, State
from personal_avatar.jobs.store import Job, JobStore

pytestmark = pytest.mark.slow  # drives a real queue with its child processes

RULES = Rules(waiting=4, waiting_of_one=3, restarts=2)
NOBODY = 2**22 - 1  # a process id that no process has
PAUSABLE, OTHER = "train", "caption"
WORDS = ("finishes", "heeds", "dies", "dies late", "fails", "loses power", "outlives its program")
WISHES = ("pause", "resume", "keep", "discard", "delete")


class PowerCut(BaseException):
    """The program is gone, with or without its child."""


@dataclass
class Played:
    """A child in the place of `subprocess.Popen`; all of its life happens at the first look at it."""

    folder: Path
    word: str
    meanwhile: Callable[[], None]
    pid: int = NOBODY
    code: int | None = None

    def poll(self) -> int | None:
        emit, control = EventWriter(self.folder), Control(self.folder)
        emit(Started(NOBODY))
        if self.word in ("heeds", "dies late", "loses power"):
            state = self.folder / kept.STATE_FOLDER / kept.STATE_COMPLETE
            state.parent.mkdir(exist_ok=True)
            state.write_text(json.dumps({"step": 1}))
        self.meanwhile()
        self.code = self._ending(emit, control)
        return self.code

    def _ending(self, emit: EventWriter, control: Control) -> int:
        if self.word in ("dies", "dies late"):
            return -9
        if self.word == "loses power":
            raise PowerCut
        if self.word == "fails":
            emit(Failed({"code": "NAN_LOSS", "message": "m", "hint": "h"}))
            return 1
        if self.word == "heeds" and control.asked(CANCEL):
            emit(Failed(Cancelled("cancelled").to_json()))
            return 1
        emit(Paused(1) if self.word == "heeds" and control.asked(PAUSE) else Done({"answer": 1}))
        if self.word == "outlives its program":
            raise PowerCut
        return 0

    def wait(self) -> int:
        return self.code or 0


@dataclass
class Expected:
    """What the model knows of a job."""

    kind: str
    user: str
    state: State = State.QUEUED
    whole: bool = False
    restarts: int = 0
    wishes: set[str] = field(default_factory=set)
    last_word: str = ""

    @property
    def can_pause(self) -> bool:
        return self.kind == PAUSABLE

    # -- calls; True when they work, else they change nothing

    def pause(self) -> bool:
        if self.state not in (State.QUEUED, State.RUNNING) or not self.can_pause or CANCEL in self.wishes:
            return False
        if self.state is State.QUEUED:
            self.state = State.PAUSED
        else:
            self.wishes.add(PAUSE)
        return True

    def resume(self) -> bool:
        if self.state is State.RUNNING and PAUSE in self.wishes:
            self.wishes.discard(PAUSE)
            return True
        if self.state is State.PAUSED or (self.state is State.FAILED and self.can_pause and self.whole):
            self.restarts = 0 if self.state is State.FAILED else self.restarts
            self.state, self.wishes = State.QUEUED, set()
            return True
        return False

    def cancel(self, keep: bool) -> bool:
        if self.state in ENDED:
            return False
        self.wishes = (self.wishes - {PAUSE}) | {CANCEL} | (set() if keep else {DISCARD})
        if self.state is not State.RUNNING:
            if keep and self.whole:
                self.state = State.QUEUED
            else:
                self.end(State.CANCELLED)
        return True

    # -- what comes of a run

    def end(self, state: State) -> None:
        self.state = state
        self.whole = self.whole and state is State.FAILED

    def run_ends(self, word: str) -> None:
        cancelled = CANCEL in self.wishes
        if word in ("finishes", "outlives its program") or (word == "heeds" and not self.wishes):
            self.end(State.SUCCEEDED)
        elif word == "heeds":
            self.state = State.PAUSED
            if cancelled:
                self.end(State.CANCELLED)
        elif word != "fails" and self._goes_on():
            self.restarts += 1
            self.state = State.PAUSED if PAUSE in self.wishes else State.QUEUED
        else:
            self.end(State.CANCELLED if cancelled else State.FAILED)

    def _goes_on(self) -> bool:
        return self.can_pause and self.whole and self.restarts < RULES.restarts and DISCARD not in self.wishes


class Still(JobQueue):
    """Runs nothing by itself."""

    def start_lane(self, kind: str) -> None:
        return


class QueueMachine(RuleBasedStateMachine):
    @initialize()
    def opens(self) -> None:
        self.home = tempfile.TemporaryDirectory()
        self.jobs: dict[str, Expected] = {}
        self.deleted: list[str] = []
        self.taken: list[str] = []
        self.child: Callable[[Path], Played] | None = None
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(process, "start", lambda folder, *_: self.child(folder))  # type: ignore[misc]
        self.patch.setattr(os, "fsync", lambda handle: None)  # the machine stays up; waiting for its disk says nothing
        self.store = JobStore(Path(self.home.name))
        self._queue()

    def _queue(self) -> None:
        self.queue = Still(
            self.store, {}, lambda: TrainerPython(Path("python")), lambda job, result: self.taken.append(job.id),
            rules=lambda: RULES, pausable=lambda job: job.kind == PAUSABLE,
        )

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()
            self.store.close()
            self.home.cleanup()

    def _one(self, number: int) -> tuple[str, Expected]:
        assume(self.jobs)
        job_id = sorted(self.jobs)[number % len(self.jobs)]
        return job_id, self.jobs[job_id]

    @staticmethod
    def _does(works: bool, call: Callable[[], Any]) -> None:
        if works:
            call()
        else:
            with pytest.raises(WrongState):
                call()

    # -- calls

    @rule(kind=st.sampled_from([PAUSABLE, PAUSABLE, OTHER]), user=st.sampled_from("ab"))
    def submits(self, kind: str, user: str) -> None:
        def call() -> Job:
            return self.queue.submit(kind, {}, title="t", user_id=user, avatar_id="")

        if self._is_full(user):
            with pytest.raises(QueueFull):
                call()
        else:
            self.jobs[call().id] = Expected(kind, user)

    def _is_full(self, user: str) -> bool:
        waiting = [job.user for job in self.jobs.values() if job.state is State.QUEUED]
        return len(waiting) >= RULES.waiting or waiting.count(user) >= RULES.waiting_of_one

    @rule(number=st.integers(0, 9), wish=st.sampled_from(WISHES))
    def wishes(self, number: int, wish: str) -> None:
        self._wish(*self._one(number), wish)

    def _wish(self, job_id: str, job: Expected, wish: str) -> None:
        if wish == "pause":
            self._does(job.pause(), lambda: self.queue.pause(job_id))
        elif wish == "resume" and job.state in (State.PAUSED, State.FAILED) and self._is_full(job.user):
            with pytest.raises((QueueFull, WrongState)):
                self.queue.resume(job_id)
        elif wish == "resume":
            self._does(job.resume(), lambda: self.queue.resume(job_id))
        elif wish == "delete":
            self._does(job.state in ENDED, lambda: self.store.delete(job_id))
            if job.state in ENDED:
                self.deleted.append(job_id)
                del self.jobs[job_id]
        else:
            keep = wish == "keep"
            self._does(job.cancel(keep), lambda: self.queue.cancel(job_id, keep_checkpoint=keep))

    # -- what happens

    @rule(kind=st.sampled_from([PAUSABLE, PAUSABLE, OTHER]), word=st.sampled_from(WORDS),
          meanwhile=st.lists(st.sampled_from(WISHES), max_size=2))
    def runs(self, kind: str, word: str, meanwhile: list[str]) -> None:
        """The next job of a kind; one whose program died is looked after first."""
        first = {view.job.id: view.position for view in self.store.views()}
        taken = self.queue._take(kind).job
        mine = {job_id: job for job_id, job in self.jobs.items() if job.kind == kind and job.state in ACTIVE}
        left = [job for job in mine.values() if job.state is State.RUNNING]
        if taken is None:
            assert not left and State.QUEUED not in {job.state for job in mine.values()}
            return
        job = self.jobs[taken.id]
        assert job.state is (State.RUNNING if left else State.QUEUED)
        if left:
            self.queue._runner.run(taken)
            job.run_ends(job.last_word)
        else:
            assert first[taken.id] == 1
            self._runs(taken, job, word, meanwhile)

    def _runs(self, taken: Job, job: Expected, word: str, meanwhile: list[str]) -> None:
        def lives() -> None:
            for wish in meanwhile:
                self._wish(taken.id, job, wish)

        if CANCEL in job.wishes and not job.whole:
            job.end(State.CANCELLED)
            self.queue._runner.run(taken)
            return
        job.state, job.last_word = State.RUNNING, word
        job.whole = job.whole or word in ("heeds", "dies late", "loses power")
        self.child = lambda folder: Played(folder, word, lives)
        try:
            self.queue._runner.run(taken)
            job.run_ends(word)
        except PowerCut:
            (self.store.folder(taken.id) / CLAIM_FILE).write_text(f"{NOBODY} 1.0")
            self.restarts()

    @rule()
    def restarts(self) -> None:
        """The program, with all that it knew."""
        self.store.close()
        self.store = JobStore(Path(self.home.name))
        self.store.mend()
        self._queue()

    @rule(garbage=st.none() | st.binary(max_size=200))
    def index_is_lost(self, garbage: bytes | None) -> None:
        """Or overwritten; of what SQLite maps into memory nobody can cut a piece without ending the program."""
        for path in Path(self.home.name).glob("index.sqlite*"):
            if garbage is None or path.name.endswith("-shm"):
                path.unlink()
            else:
                path.write_bytes(garbage)

    @rule(number=st.integers(0, 9))
    def status_is_lost(self, number: int) -> None:
        """Of one that ended: its other files tell the same."""
        job_id, job = self._one(number)
        assume(job.state is State.SUCCEEDED)
        (self.store.folder(job_id) / "status.json").write_text("{")

    # -- what holds

    @invariant()
    def everybody_is_told_the_same(self) -> None:
        told = {view.job.id: view.status.state for view in self.store.views()}
        assert told == {job_id: job.state for job_id, job in self.jobs.items()}
        for job_id, job in self.jobs.items():
            status, folder = self.store.status(job_id), self.store.folder(job_id)
            assert (status.state, endings.has_state(folder)) == (job.state, job.whole)
            assert job.state in ENDED or status.restarts == job.restarts
            assert (status.ended_at is None) == (job.state in ACTIVE)
            assert job.state is State.RUNNING or not (folder / CLAIM_FILE).exists()

    @invariant()
    def a_result_is_taken_once(self) -> None:
        done = [job_id for job_id, job in self.jobs.items() if job.state is State.SUCCEEDED]
        assert sorted(job_id for job_id in self.taken if job_id in self.jobs) == sorted(done)

    @invariant()
    def what_was_deleted_is_not_there(self) -> None:
        for job_id in self.deleted[-2:]:
            for call in (self.queue.pause, self.queue.resume, self.queue.cancel, self.store.view):
                with pytest.raises(NotFound):
                    call(job_id)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
