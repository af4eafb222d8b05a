"""Several programs on one data folder begin something of the same person, or erase them, at the same time."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from personal_avatar.errors import NotWritable, WrongState
from personal_avatar.jobs.states import State
from personal_avatar.storage import locked
from personal_avatar.studio import Studio, TrainRequest, turns

from tests.unit.api.house import GOOD, build_studio

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
REQUEST = TrainRequest("Anna", tuple(GOOD[:3]), "woman", consent="She agreed.")
# A program that starts a training of Anna, slowly enough to meet others, when `go` is there.
STARTS = """
import sys, time
from pathlib import Path
from personal_avatar import avatars
from personal_avatar.errors import AvatarError
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio, TrainRequest
data, name, photos = Path(sys.argv[1]), sys.argv[2], tuple(map(Path, sys.argv[3:]))
copy = avatars.copy_with_caption
def slowly(photo, target):
    (data / f"copies-{name}").touch()
    time.sleep(0.4)
    copy(photo, target)
avatars.copy_with_caption = slowly
studio = Studio(StandaloneHost(data), serves=False)
request = TrainRequest("Anna", photos, "woman", consent="She agreed.", even_if_too_large=True)
(data / f"ready-{name}").touch()
while not (data / "go").exists():
    time.sleep(0.01)
try:
    print("started", studio.trainings.start(request).id)
except AvatarError as error:
    print(error.code, error.message)
"""


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    made = build_studio(tmp_path / "data", face_weights)
    made.queue._serves = False
    return made


def program(studio: Studio, name: str, photos: tuple[Path, ...] = REQUEST.photos) -> subprocess.Popen[str]:
    """Ready to start."""
    data = studio.host.folders().data
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extension")}
    command = [sys.executable, "-c", STARTS, str(data), name, *map(str, photos)]
    started = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    until(lambda: (data / f"ready-{name}").exists() or started.poll() is not None)
    return started


def until(test: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not test():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def test_of_two_programs_that_start_the_same_person_one_does_and_the_other_is_told(studio: Studio) -> None:
    others = [program(studio, "first"), program(studio, "second", tuple(GOOD[2:5]))]
    (studio.host.folders().data / "go").touch()
    said = sorted(other.communicate(timeout=120)[0].split() for other in others)
    (job_id,) = studio.jobs.ids()
    assert said[1] == ["started", job_id]
    assert said[0][0] == "WRONG_STATE" and f"{job_id})" in " ".join(said[0])
    photos = [Path(photo) for photo in studio.jobs.job(job_id).payload["photos"]]
    assert len(photos) == 3 and all(photo.is_file() for photo in photos)
    assert studio.avatars.own_photos("anna") == photos
    assert [path.name for path in studio.avatars.folder("anna").iterdir() if path.name.startswith("photos")] == [
        "photos"
    ]


def test_who_is_being_started_by_another_program_is_not_erased_half(studio: Studio) -> None:
    studio.queue.cancel(studio.trainings.start(REQUEST).id)
    data, other = studio.host.folders().data, program(studio, "other")
    (data / "go").touch()
    until(lambda: (data / "copies-other").exists())
    with pytest.raises(WrongState, match="A job of Anna has not ended"):
        studio.delete_avatar("anna")
    word, job_id = other.communicate(timeout=120)[0].split()
    assert word == "started" and studio.jobs.status(job_id).state is State.QUEUED
    assert all(Path(photo).is_file() for photo in studio.jobs.job(job_id).payload["photos"])


def test_who_waits_too_long_for_another_program_is_told_and_changes_nothing(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LIMIT_S", 0.2)
    studio.queue.cancel(studio.trainings.start(REQUEST).id)
    before = sorted(studio.avatars.folder("anna").rglob("*"))
    with locked(studio.host.folders().data / ".starting.lock"):
        with pytest.raises(WrongState, match="Another program"):
            studio.trainings.start(replace(REQUEST, photos=(GOOD[4],)))
        with pytest.raises(WrongState, match="Another program"):
            studio.delete_avatar("anna")
    assert sorted(studio.avatars.folder("anna").rglob("*")) == before
    assert studio.delete_avatar("anna")["left"] == []


def test_where_the_file_for_turns_cannot_be_opened_it_is_named_and_what_to_do(studio: Studio) -> None:
    studio.queue.cancel(studio.trainings.start(REQUEST).id)
    file = studio.host.folders().data / ".starting.lock"
    file.unlink()
    file.mkdir()
    before = sorted(studio.avatars.folder("anna").rglob("*"))
    for attempt in (partial(studio.trainings.start, REQUEST), partial(studio.delete_avatar, "anna")):
        with pytest.raises(NotWritable, match=r"\.starting\.lock could not be written") as raised:
            attempt()
        assert "folder" in raised.value.hint
    assert sorted(studio.avatars.folder("anna").rglob("*")) == before
    file.rmdir()
    assert studio.delete_avatar("anna")["left"] == []
