"""Who is next: positions are the order in which jobs are taken, and nobody is passed over."""
from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs.asking import Asking, asked
from personal_avatar.jobs.executors import LOCAL
from personal_avatar.jobs.order import Waiting, in_turn
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore

users = st.sampled_from("abc")
wishes = st.lists(st.tuples(users, st.integers(-1, 1)), max_size=9)


def waiting(wanted: list[tuple[str, int]]) -> list[Waiting]:
    return [Waiting(float(at), f"{at:02}", user, priority) for at, (user, priority) in enumerate(wanted, start=1)]


@given(wishes, st.dictionaries(users, st.floats(0, 20)))
def test_everybody_is_in_the_order_once_by_priority_and_in_turn(
    wanted: list[tuple[str, int]], taken: dict[str, float]
) -> None:
    jobs = {job.id: job for job in waiting(wanted)}
    order = [jobs[job_id] for job_id in in_turn(jobs.values(), taken)]
    assert sorted(job.id for job in order) == sorted(jobs)
    assert [job.priority for job in order] == sorted((job.priority for job in order), reverse=True)
    for user, priority in {(job.user_id, job.priority) for job in order}:
        own = [job.created_at for job in order if (job.user_id, job.priority) == (user, priority)]
        assert own == sorted(own)


@given(wishes, st.dictionaries(users, st.floats(0, 20)))
def test_the_order_is_that_of_taking_the_next_again_and_again(
    wanted: list[tuple[str, int]], taken: dict[str, float]
) -> None:
    left, order, clock = waiting(wanted), list[str](), 100.0
    expected = in_turn(left, taken)
    while left:
        first = in_turn(left, taken)[0]
        job = next(one for one in left if one.id == first)
        left.remove(job)
        taken = {**taken, job.user_id: clock}
        clock += 1
        order.append(first)
    assert order == expected


def test_twenty_jobs_of_one_do_not_keep_the_others_waiting() -> None:
    jobs = waiting([("busy", 0)] * 20 + [("b", 0), ("c", 0)])
    order = in_turn(jobs, {"busy": 30.0})
    assert order[:3] == ["21", "22", "01"]


def test_users_who_come_anew_do_not_pass_one_who_was_served_before() -> None:
    jobs = waiting([("old", 0), ("new", 0), ("newer", 0)])
    assert in_turn(jobs, {"old": 0.5}) == ["01", "02", "03"]


@settings(max_examples=10, deadline=None)
@given(wishes.filter(lambda wanted: len(wanted) <= 6), st.sets(st.integers(0, 5)))
def test_positions_in_the_store_are_the_order_in_which_jobs_are_taken(
    wanted: list[tuple[str, int]], paused: set[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = JobStore(Path(folder) / "jobs")
        for number, (user, priority) in enumerate(wanted):
            with asked(Asking(priority=priority)):
                job = store.create("train", {}, title="t", user_id=user, avatar_id="a")
            if number in paused:  # taken up once already, and waiting again
                store.move(job.id, State.RUNNING)
                store.move(job.id, State.PAUSED)
                store.move(job.id, State.QUEUED)
        places = {view.position: view.job.id for view in store.views()}
        assert sorted(places) == list(range(1, len(wanted) + 1))
        taken, queue = [], queue_over(store)
        while (job := queue._take("train").job) is not None:
            assert store.view(job.id).position == 1
            store.move(job.id, State.RUNNING)
            store.move(job.id, State.FAILED)
            store.release(job.id)
            taken.append(job.id)
        assert taken == [places[position] for position in sorted(places)]
        store.close()


def queue_over(store: JobStore, width: int = 1) -> JobQueue:
    """One that takes jobs and runs none."""
    return JobQueue(
        store, {}, lambda: TrainerPython(Path("python")), lambda job, result: None, rules=Rules,
        executor=lambda: replace(LOCAL, width=width),
    )


def test_the_next_is_not_one_that_somebody_else_is_about_to_run(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    first, second = (store.create("train", {}, title="t", user_id="u", avatar_id=name) for name in "ab")
    queue = queue_over(store, 2)
    store.claim(first.id)
    assert queue._take("train").job == second and queue._take("train").job is None
    (store.folder(first.id) / "claim").write_text("999999999 1.0")
    assert queue._take("train").job == first and queue._take("other").job is None


def test_what_a_claim_was_taken_for_counts_before_it_runs(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    first, second, third = (store.create("train", {}, title="t", user_id="u", avatar_id=name) for name in "aab")
    programs = [queue_over(store, 2) for _ in range(3)]
    assert [program._take("train").job for program in programs] == [first, third, None]
    store.release(first.id)
    store.release(third.id)
    assert queue_over(store)._take("train").job == first and queue_over(store)._take("train").job is None
    assert store.status(second.id).state is State.QUEUED


def test_a_clock_that_was_wrong_for_a_while_keeps_nobody_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, ahead = JobStore(tmp_path), time.time() + 400 * 86_400
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: ahead)
        early = store.create("train", {}, title="t", user_id="a", avatar_id="")
        store.move(early.id, State.RUNNING)
        store.move(early.id, State.FAILED)
        strange = store.create("train", {}, title="t", user_id="c", avatar_id="")
    first, second = (store.create("train", {}, title="t", user_id=user, avatar_id="") for user in "ab")
    assert [store.view(job.id).position for job in (strange, first, second)] == [1, 2, 3]
