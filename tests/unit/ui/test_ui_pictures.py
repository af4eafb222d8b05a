"""Copies among gradio's temporary files: they go when what they were made of is gone or was copied elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import pytest
from gradio.components.base import IOComponent
from personal_avatar.errors import NotFound
from personal_avatar.jobs.events import EventWriter, SampleMade
from personal_avatar.jobs.states import State
from personal_avatar.studio import Studio
from personal_avatar.studio.works import CREATE, INVENT, TRAIN
from personal_avatar.ui.pictures import Held, Shelf, drop_copies_of_the_dead, drop_copy

from tests.unit.api.house import GOOD
from tests.unit.ui.visitor import Visitor

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

Visit = Callable[..., Visitor]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """Where uploads lie, as gradio puts them."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / f"test{time.monotonic_ns()}"
    folder.mkdir(parents=True)
    yield folder
    shutil.rmtree(folder)


def test_only_files_among_the_temporary_ones_are_removed(temporary: Path, tmp_path: Path) -> None:
    inside, outside = temporary / "a" / "01.jpg", tmp_path / "01.jpg"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_bytes(b"x")
    link = temporary / "link.jpg"
    link.symlink_to(outside)
    for name in (inside, outside, link, temporary / "a" / ".." / ".." / "01.jpg", temporary, ""):
        drop_copy(name)
    assert not inside.exists() and outside.exists() and temporary.is_dir()


def test_a_copy_goes_with_its_picture(tmp_path: Path) -> None:
    shelf, picture = Shelf("pictures"), tmp_path / "own.jpg"
    picture.write_bytes(GOOD[0].read_bytes() + tmp_path.name.encode())
    copy = Path(unquote(shelf.url(picture).removeprefix("file=")))
    shelf.tidy()
    assert copy.is_file()
    picture.unlink()
    shelf.tidy()
    assert not copy.exists()


@pytest.mark.parametrize(("kind", "shown"), [(CREATE, "create_made"), (INVENT, "invent_made"), (TRAIN, "samples")])
def test_pictures_of_an_erased_job_are_in_no_panel_any_more(
    visit: Visit, studio: Studio, kind: str, shown: str
) -> None:
    job = studio.jobs.create(kind, {}, title="Anna", user_id="local", avatar_id="")
    picture = studio.jobs.folder(job.id) / "artifacts" / "0000.jpg"
    picture.write_bytes(GOOD[0].read_bytes() + f"{time.monotonic_ns()}".encode())
    EventWriter(studio.jobs.folder(job.id))(SampleMade("artifacts/0000.jpg", 0, "", 0.5))
    studio.jobs.fail(job.id, NotFound("Gone."), State.CANCELLED)
    visitor = visit()
    copies = [Path(unquote(path)) for path in re.findall(r"file=(/[^&\"]+)", unescape(visitor.value(shown)))]
    assert copies and all(path.is_file() for path in copies)
    studio.jobs.delete(job.id)
    visitor.refresh()
    assert not any(path.exists() for path in copies)


def uploaded(temporary: Path, *photos: Path) -> list[Path]:
    made = []
    for number, photo in enumerate(photos):
        made.append(temporary / f"upload{number}" / photo.name)
        made[-1].parent.mkdir()
        made[-1].write_bytes(photo.read_bytes() + temporary.name.encode())
    return made


def handed_on(file: Path) -> Path:
    """The second copy that gradio makes before it calls a handler."""
    return Path(os.environ["GRADIO_TEMP_DIR"]) / IOComponent.hash_file(file) / file.name


def test_what_was_uploaded_lies_only_where_it_was_laid_out_and_a_second_click_fails_in_words(
    visit: Visit, studio: Studio, temporary: Path
) -> None:
    files = uploaded(temporary, *GOOD[:2])
    copies = [handed_on(file) for file in files]
    visitor = visit(key="d1" * 16)
    visitor.choose_files(*files)
    visitor.click("check")
    assert visitor.value("files") is None
    assert not any(path.exists() for path in (*files, *copies))
    assert len(list((studio.host.folders().data / "drafts" / ("d1" * 16) / "photos").glob("*.jpg"))) == 2
    visitor.choose_files(*files)  # the page had not heard of it yet
    visitor.click("check")
    assert "done already" in visitor.text("photos_message") or visitor.value("files") is None
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    visitor.click("clear")


def test_uploads_that_are_refused_stay_until_they_are_taken(visit: Visit, temporary: Path) -> None:
    (file,) = uploaded(temporary, GOOD[0])
    visitor = visit(key="d2" * 16)
    visitor.choose_files(file, into="rank_images")
    visitor.click("rank_start")
    assert visitor.text("rank_message") != "" and file.is_file()


def given(file: Path) -> SimpleNamespace:
    return SimpleNamespace(name=str(file), orig_name=str(file))


def test_a_panel_keeps_its_uploads_until_others_come_or_somebody_is_erased(temporary: Path) -> None:
    first, second, other = uploaded(temporary, *GOOD[:3])
    held = Held()
    held.hold("a", "one_photo", [given(first), None])
    held.hold("b", "one_photo", [given(other)])
    held.hold("a", "one_photo", [given(first), given(second)])
    assert first.is_file() and second.is_file()
    held.hold("a", "one_photo", [given(second)])
    assert not first.exists() and second.is_file() and other.is_file()
    held.drop()
    assert not second.exists() and not other.exists()


def test_copies_of_a_process_that_has_ended_are_swept_away_and_ours_stay(tmp_path: Path) -> None:
    shelf, picture = Shelf("others"), tmp_path / "own.jpg"
    picture.write_bytes(b"x")
    copy = Path(unquote(shelf.url(picture).removeprefix("file=")))
    left = copy.parents[2] / "999999999-1.5" / "0" / "face.jpg"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    drop_copies_of_the_dead()
    assert copy.is_file() and not left.parents[1].exists()
    picture.unlink()
    shelf.tidy()
