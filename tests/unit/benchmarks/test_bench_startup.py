"""From the click to the first step, by the events of a real child process."""
from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from personal_avatar.benchmarks import startup
from personal_avatar.errors import AvatarError
from personal_avatar.jobs import queue
from personal_avatar.jobs.events import Event, Progress, Record, Score, Stage, Started
from personal_avatar.jobs.store import Status
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, DrawingHost

pytestmark = pytest.mark.slow

STARTS = """
from personal_avatar.jobs.events import Stage
emit(Stage("check"))
emit(Progress(1, 3))
emit(Stage("cache"))
time.sleep(0.5)
emit(Stage("train"))
try:
    for step in range(1, 2000):
        time.sleep(0.05)
        emit(Progress(step, 2000, loss=0.5))
        control.check()
except Cancelled as error:
    emit(Failed(error.to_json()))
    sys.exit(1)
"""


def studio(folder: Path, weights: Path, learn: str, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    monkeypatch.setattr(queue, "IDLE_S", 0.2)
    (folder / "weights").symlink_to(weights, target_is_directory=True)
    return Studio(DrawingHost(folder, learn))


def test_the_job_is_ended_after_its_first_step(
    tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = studio(tmp_path, face_weights, STARTS, monkeypatch)
    base = house.host.checkpoint()
    found = startup.measure(house, base.path, GOOD[:3], {"batch_size": 1}, load_seconds=0.1)
    assert 0.4 < found["startup_seconds"] < 30
    assert found["startup"]["cache"] >= 0.5
    assert found["startup"]["load_checkpoint"] == 0.1
    assert 0 < found["startup_cpu_seconds"] < 30
    assert house.jobs.views() == []
    assert house.avatars.all() == []


def test_nobody_waits_for_the_job_any_more_when_it_is_erased(
    tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = studio(tmp_path, face_weights, STARTS, monkeypatch)
    status, failed = house.jobs.status, []

    def seldom(job_id: str) -> Status:
        time.sleep(1.0 if threading.current_thread().name == startup.RUNNER else 0.0)
        return status(job_id)

    monkeypatch.setattr(house.jobs, "status", seldom)
    monkeypatch.setattr(threading, "excepthook", failed.append)
    startup.measure(house, house.host.checkpoint().path, GOOD[:3], {"batch_size": 1}, load_seconds=0.1)
    assert startup.RUNNER not in [thread.name for thread in threading.enumerate()]
    assert failed == []


def test_a_users_own_avatar_of_a_name_like_that_stays(
    tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = studio(tmp_path, face_weights, STARTS, monkeypatch)
    own = house.avatars.open("Benchmark start-up", user_id="local", class_noun="woman", statement="She agreed.")
    house.avatars.save(own)
    startup.measure(house, house.host.checkpoint().path, GOOD[:3], {"batch_size": 1}, load_seconds=0.1)
    assert house.avatars.all() == [own]


def test_a_job_that_never_gets_there_says_why(
    tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = studio(tmp_path, face_weights, "raise RuntimeError('no memory today')", monkeypatch)
    with pytest.raises(AvatarError, match="no memory today"):
        startup.measure(house, house.host.checkpoint().path, GOOD[:3], {}, 0.0)
    assert house.jobs.views() == []


def test_every_part_of_the_way_has_its_seconds() -> None:
    events: list[tuple[float, Event]] = [
        (12.0, Started(1)), (13.0, Stage("check")), (15.0, Stage("cache")), (19.0, Score(0, 0.1)),
        (20.0, Stage("train")), (22.5, Progress(1, 9)),
    ]
    records = [Record(number, at, event) for number, (at, event) in enumerate(events, start=1)]
    assert startup.stages(10.0, records, 1.5) == {
        "spawn": 3.0, "check": 2.0, "cache": 5.0, "train": 2.5, "load_checkpoint": 1.5,
    }
