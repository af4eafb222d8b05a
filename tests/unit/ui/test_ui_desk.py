"""Drafts: what is erased stays erased, whoever erased it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar import storage
from personal_avatar.captions.task import CAPTION
from personal_avatar.errors import NotReadable
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import write_json
from personal_avatar.studio import Studio
from personal_avatar.ui import caption_book
from personal_avatar.ui.desk import KEEP_DAYS, Desk, Draft
from personal_avatar.ui.working import CHECK

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


def put(folder: Path, *names: str) -> tuple[Path, ...]:
    """Photos, as they lie in a draft."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / "photos" / name).write_bytes(b"photo")
    return tuple(folder / "photos" / name for name in names)


@contextmanager
def no_file_can_be_opened() -> Iterator[None]:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_draft_that_cannot_be_opened_for_a_moment_is_named_and_not_taken_for_an_empty_one(
    desk: Desk, folder: Path
) -> None:
    whole = Draft("Anna", "woman", consent=True, photos=put(folder, "01.jpg", "02.jpg"))
    desk.save(KEY, whole)
    again = Desk(desk.studio, ask_folder=False)
    with no_file_can_be_opened(), pytest.raises(NotReadable, match=r"draft\.json cannot be read now: Too many open"):
        again.draft(KEY)
    again.note(KEY, class_noun="man")
    assert again.draft(KEY) == replace(whole, class_noun="man") == Desk(desk.studio, ask_folder=False).draft(KEY)


@pytest.mark.parametrize("damaged", [b"", b'{"name": "An', b"[]", b"\0" * 40, b'{"photos": 7}'])
def test_a_damaged_draft_is_kept_aside_and_its_photos_stay(desk: Desk, folder: Path, damaged: bytes) -> None:
    photos = put(folder, "01.jpg", "02.jpg")
    photos[0].with_suffix(".txt").write_text("sks woman, hat")
    desk.save(KEY, Draft("Anna", photos=photos))
    (folder / "draft.json").write_bytes(damaged)
    again = Desk(desk.studio, ask_folder=False)
    assert again.draft(KEY) == Draft(photos=photos)
    error = again.work.error(KEY, CHECK)
    assert error is not None and str(folder / "draft.json.damaged") in error["message"]
    again.note(KEY, name="Anna")
    assert (folder / "draft.json.damaged").read_bytes() == damaged
    assert Desk(desk.studio, ask_folder=False).draft(KEY) == Draft("Anna", photos=photos)
    again.sweep()
    assert photos[0].with_suffix(".txt").read_text() == "sks woman, hat"


def test_a_draft_with_the_mark_that_editors_put_before_utf_8_is_read(desk: Desk, folder: Path) -> None:
    desk.save(KEY, Draft("Änne"))
    (folder / "draft.json").write_bytes(b"\xef\xbb\xbf" + (folder / "draft.json").read_bytes())
    assert Desk(desk.studio, ask_folder=False).draft(KEY).name == "Änne"
    assert not (folder / "draft.json.damaged").exists()


def test_a_draft_that_could_not_be_written_is_the_one_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("No space left on device")

    desk.save(KEY, Draft("Anna"))
    with monkeypatch.context() as patch:
        patch.setattr(storage.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            desk.note(KEY, name="Bob")
    assert desk.draft(KEY).name == "Anna"


def test_a_draft_is_swept_when_neither_it_nor_a_caption_was_touched_for_two_weeks(desk: Desk, folder: Path) -> None:
    desk.save(KEY, Draft("Anna", photos=put(folder, "01.jpg", "02.jpg")))
    long_ago = time.time() - (KEEP_DAYS + 1) * 86400

    def age() -> None:
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (long_ago, long_ago))

    age()
    caption_book.take(desk, KEY, {"01.jpg": "sks woman, typed today"})
    Desk(desk.studio, ask_folder=False).sweep()
    assert (folder / "photos" / "01.txt").read_text() == "sks woman, typed today"
    age()
    caption_book.take(desk, KEY, {"01.jpg": ""})
    Desk(desk.studio, ask_folder=False).sweep()
    assert len(desk.draft(KEY).photos) == 2
    age()
    Desk(desk.studio, ask_folder=False).sweep()
    assert not folder.exists()


def described(desk: Desk) -> list[str]:
    """Jobs that described photos, and a draft that knows them."""
    create, photos = desk.studio.jobs.create, {"0000": GOOD[0]}
    jobs = [create(CAPTION, {}, title="Captions", user_id="local", avatar_id="", files=photos).id for _ in range(2)]
    desk.save(KEY, Draft(photos=tuple(GOOD[:3]), caption_job=jobs[1], caption_jobs=(jobs[0], jobs[1])))
    return jobs


def test_the_jobs_that_described_the_photos_go_with_the_draft(desk: Desk) -> None:
    described(desk)
    desk.clear(KEY)
    assert desk.studio.jobs.views() == []


@pytest.mark.parametrize("is_seen", [True, False])
@pytest.mark.parametrize("damage", [
    lambda text: text + b"}", lambda text: text[: text.index(b'"captions_before"')], lambda text: b"\xff" + text,
])
def test_the_jobs_that_described_the_photos_go_with_a_damaged_draft(
    desk: Desk, folder: Path, damage: Callable[[bytes], bytes], is_seen: bool
) -> None:
    file, jobs = folder / "draft.json", described(desk)
    file.write_bytes(damage(file.read_bytes()))
    again = Desk(desk.studio, ask_folder=False)
    if is_seen:
        assert again.draft(KEY).caption_jobs == tuple(sorted(jobs))
    again.clear(KEY)
    assert desk.studio.jobs.views() == []


def test_a_draft_that_is_damaged_twice_loses_neither_copy_nor_the_jobs_that_described_its_photos(
    desk: Desk, folder: Path
) -> None:
    file, jobs = folder / "draft.json", described(desk)
    first = file.read_bytes() + b"}"
    for text in (first, b"x", b"x", b"y"):
        file.write_bytes(text)
        assert Desk(desk.studio, ask_folder=False).draft(KEY).caption_jobs == tuple(sorted(jobs))
    names = ("damaged", "damaged-2", "damaged-3")
    assert [(folder / f"draft.json.{name}").read_bytes() for name in names] == [first, b"x", b"y"]
    assert len([*folder.glob("draft.json.*")]) == 3
