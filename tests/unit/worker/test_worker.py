"""The worker as a process of its own, with the shipped checkpoint and drawn photos."""
from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import personal_avatar
import pytest
import torch
from personal_avatar.domain import Avatar, Method, to_json
from personal_avatar.jobs import endings
from personal_avatar.jobs.control import PAUSE, Control
from personal_avatar.jobs.events import Done, Event, Failed, Log, Paused, Progress, Started, read_events
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.worker.main import main
from safetensors.torch import load_file

from tests.shipped import tiny

PACKAGE = Path(personal_avatar.__file__).parent
PLAN = {
    "steps": 4000, "save_count": 4, "score_pictures": 1, "sample_steps": 1, "rank": 2, "conv_rank": 0, "batch_size": 1,
    "must_rise": False, "resolution_px": 64, "prior_weight": 0.0, "guidance": 1.0,
}
STEPS = 30  # enough for two wishes on their way
Job = Callable[..., Path]


@pytest.fixture
def job(tmp_path: Path, face_weights: Path) -> Job:
    def make(
        kind: str = "train", checkpoint: str = "avatar-tiny.safetensors", name: str = "job", **plan: object
    ) -> Path:
        avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
        photos = tuple(PACKAGE / "assets" / "samples" / f"{number:02d}.jpg" for number in (1, 2, 3))
        task = TrainTask(
            avatar, tmp_path / "avatar", photos, tiny(checkpoint), Method.LORA, {**PLAN, **plan}, tmp_path / "Lora",
            face_weights,
        )
        folder = tmp_path / name
        folder.mkdir()
        (folder / "job.json").write_text(json.dumps({"id": "job", "kind": kind, "payload": to_json(task)}))
        return folder

    return make


def begin(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "OMP_NUM_THREADS": "1"}
    with (folder / "log.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "personal_avatar.worker", str(folder)], env=environment, stdout=log, stderr=log
        )


def events(folder: Path, behind: int = 0) -> list[Event]:
    return [record.event for record in read_events(folder, behind)]


def last(folder: Path) -> Any:
    return events(folder)[-1]


def wait_for_step(folder: Path, after: int = 0, seconds: float = 180) -> None:
    """Until a step behind this one was taken."""
    end = time.monotonic() + seconds
    while not any(isinstance(event, Progress) and event.step > after for event in events(folder)):
        assert time.monotonic() < end, (folder / "log.txt").read_text()[-2000:]
        time.sleep(0.05)


def ends(folder: Path) -> int:
    return sum(isinstance(event, (Done, Failed)) for event in events(folder))


def test_a_wrong_call_is_told_apart_from_a_failure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main([]) == main([str(tmp_path)]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.slow
def test_a_missing_checkpoint_is_the_last_word(job: Job) -> None:
    folder = job(checkpoint="gone.safetensors")
    assert begin(folder).wait(120) == 1
    assert last(folder).error["code"] == "BASE_NOT_FOUND"
    assert ends(folder) == 1
    assert isinstance(events(folder)[0], Started)


def test_a_job_of_an_unknown_kind_fails_with_a_hint(job: Job) -> None:
    folder = job(kind="dance")
    assert begin(folder).wait(120) == 1
    assert "'dance'" in last(folder).error["message"]
    assert last(folder).error["hint"]


def test_a_damaged_job_file_is_a_named_failure(job: Job) -> None:
    folder = job()
    (folder / "job.json").write_text("{")
    assert begin(folder).wait(120) == 1
    assert last(folder).error["code"] == "CRASHED"


def losses(folder: Path) -> list[float]:
    found: list[float] = json.loads((folder / "artifacts" / "report.json").read_text())["losses"]
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="processes are ended without a signal there")
def test_a_training_that_was_paused_and_terminated_ends_with_the_result_of_one_that_was_not(job: Job) -> None:
    """Three processes in the place of one: the same file to the last bit, the same losses. A request to terminate is as
    when the machine is shut down: nobody wanted the job to end, or to rest."""
    plan = {"steps": STEPS, "save_count": 1}
    whole, folder = job(**plan), job(name="paused", **plan)
    assert begin(whole).wait(300) == 0, (whole / "log.txt").read_text()[-2000:]
    first = begin(folder)
    wait_for_step(folder)
    Control(folder).ask(PAUSE)
    paused = resting(folder, first)
    Control(folder).withdraw(PAUSE)
    second = begin(folder)
    wait_for_step(folder, after=paused.step)
    second.send_signal(signal.SIGTERM)
    interrupted = resting(folder, second)
    assert paused.step < interrupted.step and not Control(folder).asked(PAUSE)
    told = len(events(folder))
    assert begin(folder).wait(300) == 0, (folder / "log.txt").read_text()[-2000:]
    rest = events(folder, told)
    assert next(event for event in rest if isinstance(event, Progress)).step == interrupted.step
    for step in (paused.step, interrupted.step):
        assert Log(f"Going on from step {step} of {STEPS}.") in events(folder)
    assert isinstance(last(folder), Done) and ends(folder) == ends(whole) == 1
    assert not (folder / "state").exists() and not (whole / "state").exists()
    one, other = (load_file(last(each).result["files"][0]) for each in (whole, folder))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert losses(whole) == losses(folder) and len(losses(whole)) == STEPS


def resting(folder: Path, child: subprocess.Popen[bytes]) -> Paused:
    """What a process says that was asked to rest between two steps: no end, nothing published, all of its state."""
    published = folder.parent / "Lora"
    before = sorted(published.rglob("*"))
    assert child.wait(60) == 0, (folder / "log.txt").read_text()[-2000:]
    paused = last(folder)
    assert isinstance(paused, Paused) and 0 < paused.step < STEPS and ends(folder) == 0
    assert endings.has_state(folder) and (folder / "state" / "complete.json").is_file()
    assert sorted(published.rglob("*")) == before
    return paused


@pytest.mark.slow
def test_a_worker_whose_folder_was_deleted_ends_by_itself(job: Job) -> None:
    folder = job()
    child = begin(folder)
    wait_for_step(folder)
    shutil.rmtree(folder)
    assert child.wait(60) == 1
    assert not folder.exists()
