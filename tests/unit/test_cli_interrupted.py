"""Commands that were interrupted or killed: what they leave is told, is collected, and goes on."""
from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.avatars import AvatarStore
from personal_avatar.commands import common
from personal_avatar.commands import compare as comparing
from personal_avatar.errors import WrongState
from personal_avatar.jobs import process, queue
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore
from personal_avatar.standalone import host as standalone
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, LEARN, DrawingHost, failing
from tests.unit.command_line import ENVIRONMENT, Run, Said, in_process
from tests.unit.jobs.children import PATIENT

pytestmark = pytest.mark.slow

PATIENT_TRAINING = PATIENT.replace('"result"', '"note"')
HELD = LEARN.replace(  # a training that goes on until the file `finish` lies in its job's folder
    "emit(Progress(1, 2, loss=0.5))", 'emit(Progress(1, 2, loss=0.5))\nwhile not (folder / "finish").exists(): '
    "time.sleep(0.02)", 1,
)
METHODS = ("lora", "dreambooth-lora", "textual-inversion")


@pytest.fixture()
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, where trainings are done at once."""
    monkeypatch.setattr(standalone, "StandaloneHost", DrawingHost)
    return in_process(data, capsys)


class Begun:
    """A command in a process of its own, until its first job has made a step."""

    def __init__(self, data: Path, learn: str, *words: object) -> None:
        program = (
            "import signal, sys; from personal_avatar.standalone import host; from personal_avatar.cli import main; "
            "signal.signal(signal.SIGINT, signal.default_int_handler); "  # a shell's background job ignores it
            "from tests.unit.api.house import DrawingHost; "
            f"begin = lambda self, data, **more: DrawingHost.__init__(self, data, {learn!r}, **more); "
            "host.StandaloneHost = type('Host', (DrawingHost,), {'__init__': begin}); "
            f"sys.exit(main({[*map(str, words), '--data', str(data)]!r}))"
        )
        self.child = subprocess.Popen([sys.executable, "-c", program], env=ENVIRONMENT, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        until(lambda: any('"Progress"' in file.read_text() or '"progress"' in file.read_text()
                          for file in data.glob("jobs/*/events.jsonl")))

    def ends_by(self, number: int) -> Said:
        self.child.send_signal(number)
        out, err = self.child.communicate(timeout=90)
        return Said(self.child.returncode, out, err)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def compare(out: Path, *more: object) -> tuple[object, ...]:
    return ("compare", "--photos", *GOOD[:3], "--name", "Anna", "--methods", *METHODS, "--out", out, *more)


def test_an_interrupted_comparison_rests_as_a_whole_says_so_writes_no_empty_sheet_goes_on_and_ends_with_its_table(
    run: Run, data: Path, tmp_path: Path
) -> None:
    interrupted = Begun(data, PATIENT_TRAINING, *compare(tmp_path / "out", "--json")).ends_by(signal.SIGINT)
    assert interrupted.status == 130, interrupted.err
    told = interrupted.document
    assert (told["methods"], told["files"], told["error"]) == ([], [], None)
    assert [(one["method"], one["state"]) for one in told["unfinished"]] == [(way, "paused") for way in METHODS]
    assert not (tmp_path / "out").exists()
    going_on = f"compare --name anna --resume --out {tmp_path / 'out'} --data {data}"
    assert "Not finished: LoRA (paused), Dreambooth-LoRA (paused)" in interrupted.err and going_on in interrupted.err
    again = run("train", "--photos", GOOD[0], "--name", "Anna")
    assert again.status == 1
    assert f"jobs resume {told['unfinished'][0]['job'][:8]} --data {data}`), or cancel it." in again.err
    first = told["unfinished"][0]["job"]
    assert run("jobs", "resume", first).status == 0
    so_far = run("compare", "--name", "Anna", "--out", tmp_path / "so-far", "--json")
    assert (so_far.status, [row["method"] for row in so_far.document["methods"]]) == (0, ["lora"])
    assert Path(so_far.document["files"][0]).is_file() and len(so_far.document["unfinished"]) == 2
    done = run("compare", "--name", "Anna", "--resume", "--out", tmp_path / "out", "--json")
    assert (done.status, done.err) == (0, "")
    assert {row["method"] for row in done.document["methods"]} == set(METHODS) and done.document["unfinished"] == []
    assert Path(done.document["files"][0]).is_file()


Meanwhile = Callable[[Studio, Job], None]


@pytest.fixture()
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have the next command that follows a job in this process interrupted when that has made a step. `meanwhile`:
    what others do right then."""
    look = common._until_it_rests

    def interrupt(learn: str = PATIENT_TRAINING, meanwhile: Meanwhile = lambda studio, job: None) -> None:
        trains_by(monkeypatch, learn)

        def interrupted(studio: Studio, job: Job, shown: object) -> None:
            until(lambda: studio.jobs.view(job.id).step > 0)
            monkeypatch.setattr(common, "_until_it_rests", look)
            meanwhile(studio, job)
            raise KeyboardInterrupt

        monkeypatch.setattr(common, "_until_it_rests", interrupted)

    return interrupt


def trains_by(monkeypatch: pytest.MonkeyPatch, learn: str) -> None:
    """From now on, in this process."""
    monkeypatch.setattr(DrawingHost.__init__, "__defaults__", (learn, *DrawingHost.__init__.__defaults__[1:]))


def cancels_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a second Ctrl-C."""
    def again(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(JobQueue, "pause", again)


def states(data: Path) -> list[State]:
    """Of all jobs, the oldest first."""
    return [view.status.state for view in JobStore(data / "jobs").views()][::-1]


def test_the_later_methods_rest_the_last_one_first_before_the_one_at_work_does(
    interrupt: Callable[..., None], run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt()
    asked: list[tuple[str, str]] = []

    def noting(wish: str, do: Callable[..., Any]) -> Callable[..., Any]:
        def noted(queue: JobQueue, job_id: str) -> Any:
            asked.append((wish, queue.store.job(job_id).payload["method"]))
            return do(queue, job_id)

        return noted

    for wish in ("hold", "pause"):
        monkeypatch.setattr(JobQueue, wish, noting(wish, getattr(JobQueue, wish)))
    assert run(*compare(tmp_path / "out")).status == 130
    assert asked == [("hold", METHODS[2]), ("hold", METHODS[1]), ("pause", METHODS[0])]
    assert states(data) == [State.PAUSED] * 3


@pytest.mark.parametrize(("pausable", "second"), [(True, State.PAUSED), (False, State.CANCELLED)])
def test_a_method_that_another_program_has_begun_meanwhile_rests_too_or_ends_where_it_cannot(
    pausable: bool, second: State, interrupt: Callable[..., None], run: Run, data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def takes_the_next(studio: Studio, job: Job) -> None:
        studio.queue.pause(job.id)
        assert studio.queue.wait(job.id, 60).status.state is State.PAUSED
        follower = studio.trainings.unfinished(job.avatar_id)[1].job
        begun.append(follower.id)
        other = Studio(DrawingHost(data), serves=False)
        threading.Thread(target=other.queue.run_here, args=(follower,), daemon=True).start()
        until(lambda: studio.jobs.view(follower.id).step > 0)

    def pause(queue: JobQueue, job_id: str, do: Any = JobQueue.pause) -> Any:
        if not pausable and job_id in begun:
            raise WrongState("Such a job cannot be paused.")
        return do(queue, job_id)

    begun: list[str] = []
    monkeypatch.setattr(JobQueue, "pause", pause)
    interrupt(meanwhile=takes_the_next)
    said = run(*compare(tmp_path / "out", "--json"))
    assert states(data) == [State.PAUSED, second, State.PAUSED], said.err
    assert (said.status, said.document["error"]) == (130, None)


def test_a_comparison_that_is_cancelled_does_not_deny_what_was_compared_before(
    interrupt: Callable[..., None], run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*compare(tmp_path / "before")).status == 0
    interrupt()
    cancels_at_once(monkeypatch)
    said = run(*compare(tmp_path / "out", "--json"))
    assert states(data)[3:] == [State.CANCELLED] * 3 and said.status == 130
    assert "Cancelled with it: Dreambooth-LoRA, Textual Inversion." in said.err
    assert set(said.document["left_out"]) == set(METHODS) and said.document["error"]["code"] == "CANCELLED"
    assert "All methods that were begun were cancelled, so there is no table of them." in said.err
    assert "What was compared before: " in said.err and f"--name anna --out {tmp_path / 'out'}" in said.err
    assert "No method was compared" not in said.err and "Name the photos" not in said.err


def test_of_a_method_with_a_row_no_document_says_that_it_was_left_out(
    interrupt: Callable[..., None], run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*compare(tmp_path / "before")).status == 0
    interrupt()
    assert run(*compare(tmp_path / "out")).status == 130
    interrupt()
    cancels_at_once(monkeypatch)
    said = run("compare", "--name", "Anna", "--resume", "--out", tmp_path / "out", "--json")
    assert states(data)[3:] == [State.CANCELLED] * 3 and said.status == 130
    assert {row["method"] for row in said.document["methods"]} == set(METHODS)
    assert (said.document["left_out"], said.document["unfinished"]) == ({}, [])


def test_methods_that_rest_are_cancelled_with_the_one_that_finds_too_few_photos(
    interrupt: Callable[..., None], run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt()
    assert run(*compare(tmp_path / "out")).status == 130
    trains_by(monkeypatch, failing("lora").replace("OUT_OF_VRAM", "TOO_FEW_PHOTOS"))
    said = run("compare", "--name", "Anna", "--resume", "--out", tmp_path / "out", "--json")
    assert states(data) == [State.FAILED, State.CANCELLED, State.CANCELLED]
    assert said.status == 1 and "Cancelled with it: Dreambooth-LoRA, Textual Inversion." in said.err
    assert said.document["unfinished"] == []


def test_a_comparison_is_found_by_the_name_of_ones_own_avatar_and_goes_on_by_its_id(
    interrupt: Callable[..., None], run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    avatars = AvatarStore(data / "avatars")
    avatars.save(avatars.open("Anna", user_id="bob", class_noun="woman", statement="she agreed"))
    interrupt()
    words = ("compare", "--photos", *GOOD[:3], "--name", " Anna ", "--methods", "lora", "--out", tmp_path / "out")
    said = run(*words)
    assert f"compare --name anna-2 --resume --out {tmp_path / 'out'}" in said.err
    trains_by(monkeypatch, LEARN)
    for name in ("anna-2", " Anna "):
        done = run("compare", "--name", name, "--resume", "--out", tmp_path / "out", "--json")
        assert (done.status, [row["method"] for row in done.document["methods"]]) == (0, ["lora"]), done.err


def test_who_has_no_patience_with_a_long_step_is_told_how_the_job_is_seen_and_goes_on(
    interrupt: Callable[..., None], run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HELD
    monkeypatch.setattr(common, "PATIENCE_S", 0.5)
    interrupt(deaf)
    said = run("train", "--photos", GOOD[0], "--name", "Anna", "--json")
    assert (said.status, said.document["state"]) == (130, "running")
    job = said.document["job"]
    assert f"jobs show {job[:8]}" in said.err and f"jobs resume {job[:8]}" in said.err
    finish(data, job)


def test_of_nobody_and_of_nothing_there_is_no_table(run: Run, data: Path, tmp_path: Path) -> None:
    nobody = run("compare", "--name", "Nobody", "--out", tmp_path / "out")
    assert nobody.status == 1 and "There is no avatar 'Nobody'" in nobody.err
    job = run("train", "--photos", GOOD[0], "--name", "Anna", "--json").document["job"]
    shutil.rmtree(data / "jobs" / job)
    nothing = run("compare", "--name", "Anna", "--out", tmp_path / "out", "--json")
    assert (nothing.status, nothing.document["error"]["code"]) == (1, "WRONG_STATE")
    assert "No method was compared for Anna yet." in nothing.err and not (tmp_path / "out").exists()


def test_table_and_document_are_told_where_the_sheet_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "out"))

    monkeypatch.setattr(comparing, "write_comparison_sheet", refuse)
    said = run(*compare(tmp_path / "out", "--json"))
    assert (said.status, said.document["error"]["code"], said.document["files"]) == (1, "NOT_WRITABLE", [])
    assert {row["method"] for row in said.document["methods"]} == set(METHODS)
    assert "The sheet could not be written: [Errno 13] Permission denied" in said.err
    assert "Textual Inversion" in run("compare", "--name", "Anna", "--out", tmp_path / "out").out


def test_photos_that_are_too_few_for_one_method_end_the_comparison(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trains_by(monkeypatch, failing("lora").replace("OUT_OF_VRAM", "TOO_FEW_PHOTOS"))
    said = run(*compare(tmp_path / "out", "--json"))
    assert said.status == 1 and "Cancelled with it: Dreambooth-LoRA, Textual Inversion." in said.err
    assert [row["method"] for row in said.document["methods"]] == ["lora"]
    assert {way: error["code"] for way, error in said.document["left_out"].items()} == dict.fromkeys(
        METHODS[1:], "CANCELLED")


def test_a_comparison_of_too_few_photos_is_refused_before_any_job(run: Run, data: Path, tmp_path: Path) -> None:
    words = ("compare", "--photos", *GOOD[:2], "--name", "Anna", "--methods", *METHODS, "--out", tmp_path / "out")
    said = run(*words, "--json")
    assert (said.status, said.document["error"]["code"]) == (1, "TOO_FEW_PHOTOS")
    assert "Found 2 usable photos, need 3. Add " in said.err and states(data) == []


@pytest.fixture()
def killed(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Ids of the jobs of a comparison whose command was killed while the first one is at work, and long ago for what
    may still be taken up."""
    monkeypatch.setattr(queue, "IDLE_S", 0.05)
    Begun(data, HELD, *compare(tmp_path / "out", "--json")).ends_by(signal.SIGKILL)
    jobs = JobStore(data / "jobs").ids()
    yield jobs
    for job in jobs:
        (data / "jobs" / job / "finish").touch()


def finish(data: Path, job: str) -> None:
    """Let the process of a job come to its end."""
    (data / "jobs" / job / "finish").touch()
    status = JobStore(data / "jobs").status(job)
    until(lambda: not process.alive(status.pid, status.pid_started_at))


def test_a_list_of_jobs_collects_what_nobody_watches_and_names_what_nobody_takes_up(
    killed: list[str], run: Run, data: Path
) -> None:
    listed = run("jobs", "list").out.splitlines()[::-1]
    assert "running" in listed[0]
    assert "no program takes it up: " in listed[1] and resume(killed[1], data) in listed[1]
    finish(data, killed[0])
    listed = run("jobs", "list").out.splitlines()[::-1]
    assert "succeeded" in listed[0] and resume(killed[1], data) in listed[1] and "starts in" not in listed[1]
    assert run("jobs", "resume", killed[1][:8], "--json").document["state"] == "succeeded"


def resume(job: str, data: Path) -> str:
    return f"jobs resume {job[:8]} --data {data}"


def test_who_resumes_what_ended_without_its_program_gets_its_result(killed: list[str], run: Run, data: Path) -> None:
    finish(data, killed[0])
    said = run("jobs", "resume", killed[0][:8])
    assert (said.status, said.err) == (0, "")
    assert "succeeded" in said.out and "anna.safetensors" in said.out


def test_who_resumes_what_runs_without_its_program_sees_it_to_its_end(
    killed: list[str], run: Run, data: Path
) -> None:
    status = JobStore(data / "jobs").status(killed[0])
    assert status.state is State.RUNNING and process.alive(status.pid, status.pid_started_at)
    (data / "jobs" / killed[0] / "finish").touch()
    said = run("jobs", "resume", killed[0][:8], "--json")
    assert (said.status, said.document["state"], said.document["restarts"]) == (0, "succeeded", 0)


def test_who_resumes_what_died_with_its_restarts_used_up_has_it_go_on(
    killed: list[str], run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERSONAL_AVATAR_RESTARTS", "0")
    status = JobStore(data / "jobs").status(killed[0])
    process.kill(status.pid, status.pid_started_at)
    until(lambda: not process.alive(status.pid, status.pid_started_at))
    state = data / "jobs" / killed[0] / "state"
    state.mkdir()
    (state / "complete.json").write_text("{}")
    said = run("jobs", "resume", killed[0][:8], "--json")
    assert (said.status, said.document["state"], said.document["error"]) == (0, "succeeded", None), said.err


def test_a_new_training_is_told_which_job_stands_in_its_way_and_what_helps(
    killed: list[str], run: Run, data: Path
) -> None:
    words = ("train", "--photos", GOOD[0], "--name", "Anna")
    assert f"Anna is being trained already (job {killed[0]}). Wait, or cancel it." in run(*words).err
    finish(data, killed[0])
    said = run(*words)
    assert f"The training of Anna waits (job {killed[1]}), and no program takes it up." in said.err
    assert resume(killed[1], data) in said.err and said.status == 1
