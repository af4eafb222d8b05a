"""Commands that were interrupted or killed: what they leave is told, is collected, and goes on."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.cli import main
from personal_avatar.commands import compare as comparing
from personal_avatar.jobs import process, queue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore
from personal_avatar.standalone import host as standalone

from tests.unit.api.house import GOOD, LEARN, DrawingHost, failing
from tests.unit.jobs.children import PATIENT

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'extension'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
PATIENT_TRAINING = PATIENT.replace('"result"', '"note"')
HELD = LEARN.replace(  # a training that goes on until the file `finish` lies in its job's folder
    "emit(Progress(1, 2, loss=0.5))", 'emit(Progress(1, 2, loss=0.5))\nwhile not (folder / "finish").exists(): '
    "time.sleep(0.02)", 1,
)
METHODS = ("lora", "dreambooth-lora", "textual-inversion")


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Said]


@pytest.fixture()
def data(tmp_path: Path, face_weights: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "weights").symlink_to(face_weights, target_is_directory=True)
    return tmp_path / "data"


@pytest.fixture()
def run(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process, where trainings are done at once."""
    monkeypatch.setattr(standalone, "StandaloneHost", DrawingHost)

    def run(*words: object) -> Said:
        capsys.readouterr()
        status = main([*map(str, words), "--data", str(data)])
        said = capsys.readouterr()
        return Said(status, said.out, said.err)

    return run


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
    return ("compare", "--photos", GOOD[0], "--name", "Anna", "--methods", *METHODS, "--out", out, *more)


@pytest.fixture()
def interrupted(data: Path, tmp_path: Path) -> Said:
    return Begun(data, PATIENT_TRAINING, *compare(tmp_path / "out", "--json")).ends_by(signal.SIGINT)


def test_an_interrupted_comparison_rests_as_a_whole_says_so_and_writes_no_empty_sheet(
    interrupted: Said, run: Run, data: Path, tmp_path: Path
) -> None:
    assert interrupted.status == 130, interrupted.err
    told = interrupted.document
    assert (told["methods"], told["files"], told["error"]) == ([], [], None)
    assert [(one["method"], one["state"]) for one in told["unfinished"]] == [(way, "paused") for way in METHODS]
    assert not (tmp_path / "out").exists()
    going_on = f"compare --name Anna --resume --out {tmp_path / 'out'} --data {data}"
    assert "Not finished: LoRA (paused), Dreambooth-LoRA (paused)" in interrupted.err and going_on in interrupted.err
    again = run("train", "--photos", GOOD[0], "--name", "Anna")
    assert again.status == 1
    assert f"jobs resume {told['unfinished'][0]['job'][:8]} --data {data}`), or cancel it." in again.err


def test_an_interrupted_comparison_goes_on_and_ends_with_its_table(
    interrupted: Said, run: Run, tmp_path: Path
) -> None:
    first = interrupted.document["unfinished"][0]["job"]
    assert run("jobs", "resume", first).status == 0
    so_far = run("compare", "--name", "Anna", "--out", tmp_path / "so-far", "--json")
    assert (so_far.status, [row["method"] for row in so_far.document["methods"]]) == (0, ["lora"])
    assert Path(so_far.document["files"][0]).is_file() and len(so_far.document["unfinished"]) == 2
    done = run("compare", "--name", "Anna", "--resume", "--out", tmp_path / "out", "--json")
    assert (done.status, done.err) == (0, "")
    assert {row["method"] for row in done.document["methods"]} == set(METHODS) and done.document["unfinished"] == []
    assert Path(done.document["files"][0]).is_file()


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
    learn = failing("lora").replace("OUT_OF_VRAM", "TOO_FEW_PHOTOS")
    monkeypatch.setattr(DrawingHost.__init__, "__defaults__", (learn, *DrawingHost.__init__.__defaults__[1:]))
    said = run(*compare(tmp_path / "out", "--json"))
    assert said.status == 1 and "Cancelled with it: Dreambooth-LoRA, Textual Inversion." in said.err
    assert [row["method"] for row in said.document["methods"]] == ["lora"]
    assert {way: error["code"] for way, error in said.document["left_out"].items()} == dict.fromkeys(
        METHODS[1:], "CANCELLED")


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


def test_a_new_training_is_told_which_job_stands_in_its_way_and_what_helps(
    killed: list[str], run: Run, data: Path
) -> None:
    words = ("train", "--photos", GOOD[0], "--name", "Anna")
    assert f"Anna is being trained already (job {killed[0]}). Wait, or cancel it." in run(*words).err
    finish(data, killed[0])
    said = run(*words)
    assert f"The training of Anna waits (job {killed[1]}), and no program takes it up." in said.err
    assert resume(killed[1], data) in said.err and said.status == 1
