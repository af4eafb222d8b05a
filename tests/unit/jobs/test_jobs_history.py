"""How long jobs take: told by those that have run, and by nothing where none has."""
from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.jobs.account import Account
from personal_avatar.jobs.history import Effort, learned
from personal_avatar.jobs.job import Job
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore, JobView

Told = list[tuple[float, dict[str, Any]]]
STAGES: Told = [
    (0, {"kind": "started", "pid": 1}), (4, {"kind": "stage", "name": "prepare"}),
    (10, {"kind": "stage", "name": "train"}), (10, {"kind": "progress", "step": 0, "total": 100}),
    (60, {"kind": "stage", "name": "score"}),
]
END: Told = [(80, {"kind": "done", "result": {}})]


def effort(job: Job) -> Effort:
    return Effort(job.payload["alike"], job.payload["work"])


class Past:
    """A store in which jobs have run, at moments that the test names (seconds before now)."""

    def __init__(self, folder: Path, together: tuple[str, ...] = ()) -> None:
        self.store = JobStore(folder, effort=effort, together=together)
        self.now = time.time()

    def job(self, told: Told, ago_s: float, *, alike: str = "x", work: float = 100.0, user: str = "u") -> str:
        payload = {"alike": alike, "work": work}
        job = self.store.create("train", payload, title="t", user_id=user, avatar_id="a")
        lines = [json.dumps({"at": self.now - ago_s + at, **event}) + "\n" for at, event in told]
        (self.store.folder(job.id) / "events.jsonl").write_text("".join(lines))
        return job.id

    def ran(self, told: Told = STAGES + END, **changes: Any) -> None:
        job_id = self.job(told, 1000, **changes)
        self.store.move(job_id, State.RUNNING)
        self.store.move(job_id, State.SUCCEEDED)

    def runs(self, told: Told, ago_s: float, **changes: Any) -> JobView:
        job_id = self.job(told, ago_s, **changes)
        self.store.move(job_id, State.RUNNING)
        return self.store.view(job_id)


@pytest.fixture()
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


def close_to(seconds: float) -> Any:
    """The clock goes on while the test runs."""
    return pytest.approx(seconds, abs=3.0)


def test_where_nothing_has_run_nothing_is_known(past: Past) -> None:
    view = past.store.view(past.job([], 0))
    assert (view.eta_s, view.starts_in_s, view.position) == (None, 0.0, 1)


def test_a_waiting_job_takes_as_long_as_those_before(past: Past) -> None:
    """Ten seconds until the loop, half a second a step, twenty after it."""
    past.ran()
    assert past.store.view(past.job([], 0)).eta_s == close_to(80)
    assert past.store.view(past.job([], 0, work=400.0)).eta_s == close_to(80 + 10 + 200 + 20)
    assert past.store.view(past.job([], 0, alike="another sort")).eta_s is None


def test_a_running_job_goes_by_its_own_speed_and_then_by_what_was_learned(past: Past) -> None:
    past.ran()
    told = [*STAGES[:3], (30, {"kind": "progress", "step": 20, "total": 100, "seconds_per_step": 2.0})]
    assert past.runs(told, 30).eta_s == close_to(160 + 20)
    assert past.runs(STAGES, 65).eta_s == close_to(15)
    assert past.runs(STAGES[:2], 6).eta_s == close_to(4 + 50 + 20)


def test_one_that_takes_longer_than_ever_is_soon_done(past: Past) -> None:
    past.ran()
    assert past.runs(STAGES, 500).eta_s == 0.0


def test_a_waiting_job_starts_when_those_before_it_are_done(past: Past) -> None:
    past.ran()
    past.runs(STAGES, 65)
    first, second = (past.store.view(past.job([], 0)) for _ in range(2))
    assert (first.starts_in_s, second.starts_in_s) == (close_to(15), close_to(15 + 80))
    assert second.eta_s == close_to(15 + 160)
    unknown = past.store.view(past.job([], 0, alike="another sort"))
    assert unknown.starts_in_s == close_to(15 + 160) and unknown.eta_s is None
    assert past.store.view(past.job([], 0)).starts_in_s is None


def test_kinds_that_wait_in_one_line_wait_for_each_other(tmp_path: Path) -> None:
    past = Past(tmp_path, together=("train", "measure"))
    past.ran()
    past.runs(STAGES, 65)
    first = past.store.view(past.job([], 0))
    other = past.store.create("measure", {"alike": "x", "work": 1.0}, title="", user_id="", avatar_id="")
    view = past.store.view(other.id)
    assert (first.position, view.position, view.starts_in_s) == (1, 2, close_to(15 + 80))


def test_one_slow_run_does_not_count(past: Past) -> None:
    past.ran()
    past.ran([(at * 50, event) for at, event in STAGES + END])
    past.ran()
    assert past.store.view(past.job([], 0)).eta_s == close_to(80)


JUDGES: Told = [
    *STAGES[:3], (20, {"kind": "progress", "step": 50, "total": 100, "seconds_per_step": 0.2, "besides_s": 90}),
    (20, {"kind": "stage", "name": "judge", "within": "train"}),
]


def test_what_the_work_takes_besides_its_steps_is_left_as_well(past: Past) -> None:
    """Ten seconds of steps, and ninety of which thirty passed while the loop rested; in the stages after it, too."""
    view = past.runs(JUDGES, 50)
    assert (view.stage, view.within, view.past_loop, view.step) == ("train", "judge", False, 50)
    assert view.eta_s == close_to(10 + 90 - 30)
    assert past.runs(JUDGES, 500).eta_s == close_to(10)
    on = (60, {"kind": "progress", "step": 100, "total": 100, "seconds_per_step": 0.2, "besides_s": 40})
    assert past.runs([*JUDGES, on], 61).within == ""
    assert past.runs([*JUDGES, on, (61, {"kind": "stage", "name": "score"})], 75).eta_s == close_to(25)
    assert past.store.view(past.job([], 0)).starts_in_s == close_to((70 + 10 + 39 + 25) / 4)


def test_what_a_process_reckoned_that_died_says_nothing_of_the_next(past: Past) -> None:
    again = (600, {"kind": "started", "pid": 2})
    view = past.runs([*JUDGES, again, (602, {"kind": "stage", "name": "train"})], 610)
    assert (view.eta_s, view.within) == (None, "")


def test_a_job_that_ends_while_its_loop_rests_rests_no_more(past: Past) -> None:
    assert past.runs([*JUDGES, (30, {"kind": "paused", "step": 50})], 50).within == ""
    assert past.runs([*JUDGES, *END], 90).within == ""


@pytest.mark.parametrize("rests", [{"kind": "paused", "step": 50}, {"kind": "parked", "parked": True, "seconds": 1}])
def test_while_the_work_itself_rests_nothing_gets_less(rests: dict[str, Any], past: Past) -> None:
    assert past.runs([*JUDGES[:-1], (20, rests)], 500).eta_s == close_to(10 + 90)


def test_the_time_in_which_a_loop_rests_is_time_of_its_stage(past: Past) -> None:
    past.ran([*STAGES[:4], (20, {"kind": "stage", "name": "judge", "within": "train"}), *STAGES[4:], *END])
    assert past.store.view(past.job([], 0)).eta_s == close_to(80)


def test_failed_runs_teach_nothing(past: Past) -> None:
    job_id = past.job(STAGES + END, 1000)
    past.store.move(job_id, State.RUNNING)
    past.store.move(job_id, State.FAILED)
    assert past.store.view(past.job([], 0)).eta_s is None


def test_pauses_and_the_time_after_a_crash_do_not_count(past: Past) -> None:
    """The same work, with an hour's pause in the loop, and in another run an hour between a crash and its new start."""
    paused = [*STAGES[:4], (40, {"kind": "paused", "step": 60}), (3640, {"kind": "started", "pid": 2}),
              (3640, {"kind": "stage", "name": "train"}), (3660, {"kind": "stage", "name": "score"}),
              (3680, {"kind": "done", "result": {}})]
    past.ran(paused)
    assert past.store.view(past.job([], 0)).eta_s == close_to(80)
    crashed = [*STAGES[:4], (3640, {"kind": "started", "pid": 2}), *[(3640 + at, event) for at, event in STAGES[1:]],
               (3720, {"kind": "done", "result": {}})]
    past.ran(crashed, alike="crashed")
    view = past.store.view(past.job([], 0, alike="crashed"))
    assert (view.eta_s or 0) - (view.starts_in_s or 0) == close_to(10 + 80)  # what was done twice took its time


def test_what_was_learned_outlives_the_index(past: Past) -> None:
    past.ran()
    job_id = past.job([], 0)
    past.store.rebuild()
    assert past.store.view(job_id).eta_s == close_to(80)


def test_a_payload_that_says_nothing_of_its_work_is_no_error(past: Past) -> None:
    job = past.store.create("train", {}, title="t", user_id="u", avatar_id="a")
    assert past.store.view(job.id).eta_s is None


laps = st.dictionaries(st.sampled_from(["", "prepare", "train", "score"]), st.floats(0, 1e5), min_size=1)


@given(st.lists(st.tuples(st.floats(0, 1e4), laps), min_size=1, max_size=5), st.floats(0, 1e4), st.floats(0, 1e6))
def test_what_is_left_is_never_below_zero_nor_above_the_whole(
    runs: list[tuple[float, dict[str, float]]], work: float, now: float
) -> None:
    known = learned([(each, Account(laps=spent, loops={"train": 10})) for each, spent in runs])
    total = known.total_s(work)
    assert total is not None and total >= 0
    for stage in runs[0][1]:
        left = known.left_s(replace(Account(stage=stage), lap_at=1.0), work, now)
        assert left is not None and 0 <= left <= total + 1e-6
