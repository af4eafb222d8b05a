"""Drafts: what is erased stays erased, whoever erased it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from personal_avatar import storage
from personal_avatar.captions.task import CAPTION
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio
from personal_avatar.ui.desk import Desk, Draft

from tests.unit.api.house import GOOD

KEY = "5" * 32


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Studio(StandaloneHost(tmp_path)), ask_folder=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "drafts" / KEY


def test_a_draft_whose_folder_is_gone_is_dropped(desk: Desk, folder: Path) -> None:
    desk.save(KEY, Draft("Anna", "woman", photos=tuple(GOOD[:3]), left_out=("film.mov",)))
    shutil.rmtree(folder)
    assert desk.draft(KEY) == Draft()
    desk.note(KEY, consent=True)
    assert json.loads((folder / "draft.json").read_text())["photos"] == []
    assert desk.draft(KEY) == Draft(consent=True)


def test_a_draft_that_another_process_laid_out_is_found(desk: Desk, folder: Path) -> None:
    assert desk.draft(KEY) == Draft()
    write_json(folder / "draft.json", {"name": "Anna"})
    assert desk.draft(KEY).name == "Anna"


def test_of_a_draft_that_cannot_be_read_whole_the_photos_stay(desk: Desk, folder: Path) -> None:
    here = tuple(folder / "photos" / photo.name for photo in GOOD[:3])
    for path in here:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"photo")
    desk.save(KEY, Draft("Anna", "woman", photos=here))
    stored = json.loads((folder / "draft.json").read_text())
    old = {"photos": [], "advice": ["Add more photos."]}
    for change in ({"report": old}, {"report": old, "choices": {"00": "strange"}, "settings": 7}):
        write_json(folder / "draft.json", {**stored, **change})
        read = Desk(desk.studio, ask_folder=False).draft(KEY)
        assert (read.name, read.class_noun, read.photos, read.report) == ("Anna", "woman", here, None)
    here[1].unlink()
    assert Desk(desk.studio, ask_folder=False).draft(KEY).photos == (here[0], here[2])


def test_a_draft_that_could_not_be_written_is_the_one_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    desk.save(KEY, Draft("Anna"))
    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            desk.note(KEY, name="Bob")
    assert desk.draft(KEY).name == "Anna"


def test_the_jobs_that_described_the_photos_go_with_the_draft(desk: Desk) -> None:
    jobs = [
        desk.studio.jobs.create(CAPTION, {}, title="Captions", user_id="local", avatar_id="", files={"0000": GOOD[0]})
        for _ in range(2)
    ]
    desk.save(KEY, Draft(photos=tuple(GOOD[:3]), caption_job=jobs[1].id, caption_jobs=(jobs[0].id, jobs[1].id)))
    desk.clear(KEY)
    assert desk.studio.jobs.views() == []
