"""`personal-avatar jobs` and what the doctor says of them, on a real data folder."""
from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from personal_avatar import doctor
from personal_avatar.cli import main
from personal_avatar.commands.common import follow, local_studio
from personal_avatar.environment.finding import State as Found
from personal_avatar.jobs import process, queue
from personal_avatar.jobs.asking import Asking, asked
from personal_avatar.jobs.events import EventWriter, Progress, Stage
from personal_avatar.jobs.job import Job
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore
from personal_avatar.options.codes import STATES
from personal_avatar.terminal import Terminal

Say = Callable[..., str]


@pytest.fixture()
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture()
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    def say(*words: str) -> str:
        capsys.readouterr()
        assert main(["jobs", *words, "--data", str(tmp_path)]) == 0
        return capsys.readouterr().out

    return say


def run(store: JobStore, job: Job, **status: float) -> None:
    """As a job that a process, this one, works at."""
    me = os.getpid()
    store.move(job.id, State.RUNNING, pid=me, pid_started_at=process.started_at(me), **status)


def create(store: JobStore, user: str = "u", priority: int = 0, method: str = "lora") -> Job:
    with asked(Asking(priority=priority)):
        return store.create("train", {"method": method}, title=f"Of {user}", user_id=user, avatar_id="a")


def listed(said: str) -> list[str]:
    return [row["id"] for row in json.loads(said)["jobs"]]


def test_the_help_tells_that_a_resumed_job_runs_here(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["jobs", "--help"])
    assert "take the job up here and stay until it ends" in " ".join(capsys.readouterr().out.split())


def test_the_states_that_can_be_asked_for_are_all() -> None:
    assert tuple(state.value for state in State) == STATES


def test_lists_are_filtered_by_user_and_state_and_cut(store: JobStore, say: Say) -> None:
    jobs = [create(store, user) for user in "uuv"]
    run(store, jobs[0])
    assert listed(say("list", "--user", "u", "--json")) == [jobs[1].id, jobs[0].id]
    assert listed(say("list", "--state", "running", "paused", "--json")) == [jobs[0].id]
    assert listed(say("list", "--kind", "create", "--json")) == []
    cut = json.loads(say("list", "--limit", "1", "--json"))
    assert ([row["id"] for row in cut["jobs"]], cut["more"]) == ([jobs[2].id], 2)
    assert "2 older ones" in say("list", "--limit", "1") and "older" not in say("list", "--limit", "0")


@pytest.mark.parametrize("number", ["-1", "", "x", "1.5", "1234567890"])
def test_a_limit_that_is_no_number_of_jobs_is_refused(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["jobs", "list", f"--limit={number}", "--data", str(tmp_path)])
    assert caught.value.code == 2
    assert f"{number!r} is not a whole number from 0 to 999999999" in capsys.readouterr().err


@pytest.mark.parametrize("action", ["list", "rebuild"])
def test_one_job_is_refused_where_all_are_meant(
    action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", action, "abc", "--data", str(tmp_path)]) == 2
    assert f"jobs {action} is about all jobs: 'abc' says nothing." in capsys.readouterr().err


def test_a_list_tells_where_each_job_stands(store: JobStore, say: Say) -> None:
    running = create(store)
    run(store, running, restarts=2)
    for event in (Stage("train"), Progress(30, 100, seconds_per_step=2.0)):
        EventWriter(store.folder(running.id))(event)
    create(store, priority=7, method="dreambooth-lora")
    waiting, first = say("list").splitlines()
    assert "number 1, starts in 2 min, priority 7" in waiting
    assert "Of u · Dreambooth-LoRA  queued" in waiting and "Of u · LoRA " in first
    assert "train 30/100, done in 2 min, restarted 2x" in first
    shown = json.loads(say("show", running.id[:8], "--json"))
    assert (shown["eta_s"], shown["restarts"]) == (140.0, 2)


def test_of_a_paused_job_no_end_is_promised(store: JobStore, say: Say) -> None:
    job = create(store)
    run(store, job)
    for event in (Stage("train"), Progress(30, 100, seconds_per_step=2.0)):
        EventWriter(store.folder(job.id))(event)
    assert "done in" in say("list")
    store.move(job.id, State.PAUSED)
    assert "train 30/100" in say("list") and "done in" not in say("list")


def test_a_waiting_job_becomes_the_next_or_the_last(
    store: JobStore, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = create(store), create(store)
    assert say("prioritise", second.id[:8]) == f"{second.id[:8]} number 1, priority 1\n"
    shown = json.loads(say("prioritise", second.id, "--priority", "-3", "--json"))
    assert (shown["id"], shown["position"], shown["priority"]) == (second.id, 2, -3)
    store.move(first.id, State.RUNNING)
    assert main(["jobs", "prioritise", first.id, "--data", str(tmp_path)]) == 1
    assert "The job is running" in capsys.readouterr().err


def test_a_list_tells_who_stands_still(store: JobStore, say: Say) -> None:
    job, long_ago = create(store), time.time() - 1200
    run(store, job, taken_at=long_ago)
    EventWriter(store.folder(job.id)).tell(Stage("train"), long_ago)
    assert "no progress for 20 min" in say("list")


def test_an_index_is_made_anew_from_the_folders(store: JobStore, say: Say, tmp_path: Path) -> None:
    jobs = [create(store) for _ in range(3)]
    (tmp_path / "jobs" / "index.sqlite").write_bytes(b"no database" * 999)
    assert "3 jobs" in say("rebuild")
    assert listed(say("--json")) == [job.id for job in jobs[::-1]]


def test_the_doctor_tells_of_an_index_that_was_damaged(store: JobStore, tmp_path: Path) -> None:
    create(store)
    assert [one.state for one in doctor.of_jobs(store)] == [Found.OK]
    store.close()
    for path in (tmp_path / "jobs").glob("index.sqlite*"):
        path.write_bytes(b"no database" * 999)
    finding = next(iter(doctor.of_jobs(JobStore(tmp_path / "jobs"))))
    assert finding.state is Found.WARNING and finding.remedy
    assert "1 jobs" in finding.found and "made anew" in finding.found


def test_a_command_runs_its_own_job_and_leaves_those_of_others(store: JobStore, tmp_path: Path) -> None:
    names = {"title": "t", "user_id": "u", "avatar_id": ""}
    left = [store.create("rank", {}, **names, host=host) for host in ("webui", "standalone")] + [create(store)]
    studio = local_studio(tmp_path)
    studio.queue.settle()
    mine = studio.queue.submit("rank", {}, **names)
    view, interrupted = follow(studio, mine, Terminal(as_json=True))
    assert (view.status.state, interrupted) == (State.FAILED, False)  # it says nothing of what is to be ranked
    assert {store.status(job.id).state for job in left} == {State.QUEUED}
    assert main(["jobs", "resume", left[0].id[:8], "--data", str(tmp_path)]) == 1
    assert store.status(left[0].id).state is State.QUEUED


def test_what_only_another_program_can_begin_is_told_so_and_how_it_is_ended(
    store: JobStore, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "IDLE_S", -1.0)  # others have had their time
    job = store.create("create", {}, title="Anna", user_id="u", avatar_id="", host="webui")
    cancel = f"jobs cancel {job.id[:8]} --data {tmp_path}"
    listed = say("list")
    assert "begins when the program that accepted it (webui) is open" in listed
    assert cancel in listed and "jobs resume" not in listed
    assert main(["jobs", "resume", job.id[:8], "--data", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "Only the program that accepted it (webui) can begin the job. It begins as soon as that is open." in told
    assert cancel in told and "Nothing has to be done" not in told
    assert "cancelled" in say("cancel", job.id[:8])
