"""Who is next: positions are the order in which jobs are taken, and nobody is passed over."""
from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from personal_avatar.jobs.asking import Asking, asked
from personal_avatar.jobs.order import Waiting, in_turn
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
        taken = []
        while (job_or_none := store.next("train")) is not None:
            assert store.view(job_or_none.id).position == 1
            store.move(job_or_none.id, State.RUNNING)
            taken.append(job_or_none.id)
        assert taken == [places[position] for position in sorted(places)]
        store.close()


def test_the_next_is_not_one_that_somebody_else_is_about_to_run(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    first, second = (store.create("train", {}, title="t", user_id="u", avatar_id="a") for _ in range(2))
    assert store.next("train") == first
    store.claim(first.id)
    assert store.next("train") == second
    (store.folder(first.id) / "claim").write_text("999999999 1.0")
    assert store.next("train") == first and store.next("other") is None
