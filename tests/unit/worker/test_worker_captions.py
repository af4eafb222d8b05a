"""Jobs that describe photos."""
from __future__ import annotations

import shutil
from pathlib import Path

import blip_miniature
import pytest
import wd_tagger
from personal_avatar.captions.task import CaptionTask, file_name
from personal_avatar.domain import to_json
from personal_avatar.errors import Cancelled, WeightsMissing
from personal_avatar.jobs.control import CANCEL, Control
from personal_avatar.jobs.events import EventWriter, Progress, read_events
from personal_avatar.worker.describing import describe
from personal_avatar.worker.kinds import KINDS

from tests.unit.api.house import GOOD


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    blip_miniature.make(folder / "blip")
    wd_tagger.make(folder / "wd14" / "wd-vit-tagger-v3")
    return folder


def task(weights: Path, tagger: str = "wd14-vit") -> CaptionTask:
    return CaptionTask(tagger, ("a.jpg", "broken.jpg", "b.jpg"), weights, "sks man", "man", {"tag_from": 0.0})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, photo in enumerate((GOOD[0], None, GOOD[1])):
        target = photos / file_name(number)
        target.write_bytes(b"broken") if photo is None else shutil.copy(photo, target)
    return tmp_path


@pytest.mark.parametrize("tagger", ["wd14-vit", "blip"])
def test_each_photo_is_described_and_the_copies_are_gone(folder: Path, weights: Path, tagger: str) -> None:
    found = describe(task(weights, tagger), folder, EventWriter(folder), Control(folder))
    assert list(found["captions"]) == ["a.jpg", "b.jpg"] and list(found["skipped"]) == ["broken.jpg"]
    assert all("sks man" in text for text in found["captions"].values())
    assert "broken.jpg" in found["skipped"]["broken.jpg"]
    steps = [record.event.step for record in read_events(folder) if isinstance(record.event, Progress)]
    assert steps == [1, 2, 3]
    assert not (folder / "photos").exists()


def test_a_wish_to_cancel_ends_it_and_removes_the_copies(folder: Path, weights: Path) -> None:
    control = Control(folder)
    control.ask(CANCEL)
    with pytest.raises(Cancelled):
        describe(task(weights), folder, EventWriter(folder), control)
    assert not (folder / "photos").exists()


def test_what_is_missing_ends_it_with_its_name(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="wd14-swinv2 lacks"):
        describe(task(tmp_path / "none", "wd14-swinv2"), folder, EventWriter(folder), Control(folder))


def test_a_job_of_this_kind_is_known_to_the_worker(folder: Path, weights: Path) -> None:
    work = KINDS["caption"](to_json(task(weights)))
    assert list(work(folder, EventWriter(folder), Control(folder))["captions"]) == ["a.jpg", "b.jpg"]
