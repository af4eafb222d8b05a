"""What can be asked of a job besides pausing and cancelling: to be next, to go on when only its end is missing."""
from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.errors import (
    AvatarError,
    DiskFull,
    InvalidSettings,
    JobDamaged,
    NotAlike,
    NotFound,
    NotTaken,
    SelfTestFailed,
    WrongState,
)
from personal_avatar.host import Rules
from personal_avatar.jobs import queue as queues
from personal_avatar.jobs.events import Done, EventWriter, Failed, Started
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore
from personal_avatar.jobs.wishes import PRIORITIES

from tests.unit.jobs.children import trainer

Submit = Callable[..., Job]


def queue_in(folder: Path) -> JobQueue:
    """Nobody looks after its jobs: they wait."""
    def done(job: Job, result: dict) -> None:
        return

    return JobQueue(
        JobStore(folder / "jobs"), {}, lambda: trainer(folder / "bin", ""), done, rules=lambda: Rules(waiting=99),
        pausable=lambda job: job.kind == "train", serves=False,
    )


@pytest.fixture()
def queue(tmp_path: Path) -> JobQueue:
    return queue_in(tmp_path)


def submit(queue: JobQueue, user: str = "u", kind: str = "train", priority: int = 0) -> str:
    return queue.submit(kind, {}, title="", user_id=user, avatar_id="", priority=priority).id


def line(queue: JobQueue, kind: str = "train") -> list[str]:
    """Ids of those that wait, the next one first."""
    waiting = queue.store.views(states=[State.QUEUED], kind=kind)
    return [view.job.id for view in sorted(waiting, key=lambda view: view.position)]


@pytest.mark.parametrize("kind", ["train", "caption"])
def test_what_waits_can_rest_whether_or_not_its_work_can_be_interrupted(queue: JobQueue, kind: str) -> None:
    job = submit(queue, kind=kind)
    queue.hold(job)
    assert queue.store.status(job).state is State.PAUSED
    with pytest.raises(WrongState, match="The job is paused; only one that waits"):
        queue.hold(job)
    queue.resume(job, here=False)
    assert queue.store.status(job).state is State.QUEUED
    queue.store.move(job, State.RUNNING)
    with pytest.raises(WrongState, match="The job is running"):
        queue.hold(job)


def test_what_nobody_takes_waits_in_vain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = queue_in(tmp_path)
    first, second = submit(queue), submit(queue)
    assert not queue.waits_in_vain(queue.store.view(first)), "somebody may not have looked yet"
    monkeypatch.setattr(queues, "IDLE_S", -1.0)
    assert queue.waits_in_vain(queue.store.view(first)) and queue.waits_in_vain(queue.store.view(second))
    assert queue.store.claim(first)
    assert not queue.waits_in_vain(queue.store.view(second)), "whoever runs the first one takes it next"
    queue.store.release(first)
    queue.hold(second)
    assert not queue.waits_in_vain(queue.store.view(second))


def test_the_last_one_becomes_the_next_and_the_others_keep_their_order(queue: JobQueue) -> None:
    first, second, last = (submit(queue) for _ in range(3))
    view = queue.prioritise(last)
    assert (view.position, view.priority) == (1, 1) and line(queue) == [last, first, second]
    assert queue.prioritise(second).position == 1 and line(queue) == [second, last, first]


def test_whoever_is_next_already_keeps_its_priority(queue: JobQueue) -> None:
    first, _ = submit(queue), submit(queue)
    assert [queue.prioritise(first).priority for _ in range(3)] == [0, 0, 0]


def test_the_next_of_its_kind_does_not_go_before_other_kinds(queue: JobQueue) -> None:
    submit(queue, kind="create", priority=9)
    submit(queue)
    assert queue.prioritise(submit(queue)).priority == 1


def test_nobody_goes_beyond_what_can_be_asked_for(queue: JobQueue) -> None:
    highest = submit(queue, priority=PRIORITIES[-1])
    view = queue.prioritise(submit(queue))
    assert (view.priority, view.position, line(queue)[0]) == (PRIORITIES[-1], 2, highest)
    for wrong in (PRIORITIES[0] - 1, PRIORITIES[-1] + 1):
        with pytest.raises(InvalidSettings, match=r"\[-10, 10\], got -?11"):
            queue.prioritise(highest, wrong)
    assert queue.store.view(highest).priority == PRIORITIES[-1]


@settings(max_examples=5, deadline=None)
@given(wanted=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(PRIORITIES)), min_size=1, max_size=4))
def test_jobs_are_taken_by_the_priority_that_was_given_last(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[int, int]]
) -> None:
    queue = queue_in(tmp_path_factory.mktemp("queue"))
    jobs = [submit(queue) for _ in range(4)]
    last = dict.fromkeys(jobs, 0)
    for place, priority in wanted:
        last[jobs[place]] = queue.prioritise(jobs[place], priority).priority
        assert last[jobs[place]] == priority
    assert line(queue) == sorted(jobs, key=lambda job: -last[job])
    assert line(queue_in(queue.store._folder.parent)) == line(queue), "another program takes them so as well"


@pytest.mark.parametrize("state", [State.RUNNING, State.PAUSED, State.CANCELLED])
def test_only_what_waits_can_be_taken_sooner(queue: JobQueue, state: State) -> None:
    job = submit(queue)
    queue.store.move(job, state)
    with pytest.raises(WrongState, match=f"is {state.value}") as refused:
        queue.prioritise(job)
    assert refused.value.hint == WrongState.default_hint
    assert queue.store.view(job).priority == 0 and not queue.store.is_claimed(job)
    with pytest.raises(NotFound):
        queue.prioritise("0" * 32)


def test_the_priority_stays_through_a_rest_a_damage_and_a_new_index(queue: JobQueue) -> None:
    job = submit(queue, priority=2)
    queue.prioritise(job, -3)
    queue.pause(job)
    assert queue.resume(job, here=False).priority == -3
    (queue.store.folder(job) / "status.json").write_text("{")
    assert queue.store.view(job).priority == -3
    assert queue.store.mend() == [job] and queue.store.rebuild() == 1
    assert queue.store.view(job).priority == -3 and queue.store.job(job).priority == 2


def test_whoever_takes_a_job_is_not_overruled(queue: JobQueue) -> None:
    """A job that is about to begin has a claim; its state is never written back to waiting."""
    job = submit(queue)
    assert queue.store.claim(job)

    def begin() -> None:
        queue.store.move(job, State.RUNNING)

    timer = threading.Timer(0.1, begin)
    timer.start()
    with pytest.raises(WrongState, match="running"):
        queue.prioritise(job, 5)
    timer.join()
    assert queue.store.status(job).state is State.RUNNING


def test_a_job_whose_end_alone_is_missing_can_go_on(queue: JobQueue) -> None:
    job = submit(queue, kind="create")
    queue.store.move(job, State.RUNNING)
    emit = EventWriter(queue.store.folder(job))
    emit(Started(1))
    emit(Done({"images": []}))
    queue.store.fail(job, DiskFull("The disk is full."))
    assert queue.can_go_on(queue.store.view(job))
    assert not queue.can_go_on(queue.resume(job, here=False))


@pytest.mark.parametrize("error", [SelfTestFailed("It changes nothing."), NotAlike("No more like the person.")])
def test_what_was_made_and_found_wanting_is_not_made_again(queue: JobQueue, error: AvatarError) -> None:
    job = submit(queue)
    queue.store.move(job, State.RUNNING)
    emit = EventWriter(queue.store.folder(job))
    emit(Started(1))
    emit(Done({}))
    queue.store.fail(job, error)
    assert not queue.can_go_on(queue.store.view(job))
    with pytest.raises(WrongState):
        queue.resume(job, here=False)


def test_what_can_be_mended_where_it_lies_is_tried_again(queue: JobQueue) -> None:
    job = submit(queue)
    queue.store.move(job, State.RUNNING)
    emit = EventWriter(queue.store.folder(job))
    emit(Started(1))
    emit(Done({}))
    queue.store.fail(job, NotTaken("The WebUI takes another file for <lora:an>."))
    assert queue.can_go_on(queue.store.view(job))
    assert queue.resume(job, here=False).status.state is State.QUEUED


def test_a_job_that_failed_in_its_work_or_cannot_be_read_cannot_go_on(queue: JobQueue) -> None:
    failed = submit(queue)
    queue.store.move(failed, State.RUNNING)
    emit = EventWriter(queue.store.folder(failed))
    for event in (Started(1), Done({}), Started(2), Failed({"code": "CRASHED"})):
        emit(event)
    queue.store.fail(failed, DiskFull("The disk is full."))
    assert not queue.can_go_on(queue.store.view(failed))
    damaged = submit(queue)
    emit = EventWriter(queue.store.folder(damaged))
    emit(Done({}))
    (queue.store.folder(damaged) / "job.json").write_text("{")
    view = queue.store.view(damaged)
    assert (view.status.error or {})["code"] == JobDamaged.code and not queue.can_go_on(view)
