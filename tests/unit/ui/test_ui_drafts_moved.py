"""Laid-out photos in a data folder that has another name than when they were laid out; what tidying leaves there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.domain import PhotoReport, PhotoVerdict
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.ui import judging
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.photo_files import tidy

KEY = "5" * 32


class AsTold(StandaloneHost):
    """A host that, as the WebUI does, names its data folder as it was told it, links and all."""

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self._folders = replace(self._folders, data=data)


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "_check", lambda *_: None)
    monkeypatch.setattr(judging, "judge_again", lambda *_: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in which two photos are laid out, the first with a caption, and both are judged."""
    folder = tmp_path / "data"
    desk = desk_in(folder)
    lay_out(desk, photo(tmp_path, "a", "my caption"), photo(tmp_path, "b"))
    laid_out = desk.draft(KEY).photos
    desk.note(KEY, report=PhotoReport(tuple(map(PhotoVerdict, laid_out))))
    shutil.rmtree(tmp_path / "uploads")
    return folder


def desk_in(data: Path) -> Desk:
    return Desk(Studio(AsTold(data)), ask_folder=False)


def photo(folder: Path, name: str, caption: str = "") -> Path:
    path = folder / "uploads" / f"{name}.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(name.encode() * 99)
    if caption:
        path.with_suffix(".txt").write_text(caption)
    return path


def lay_out(desk: Desk, *photos: Path) -> None:
    judging.lay_out(desk, KEY, [*photos], "")
    while desk.work.busy(KEY):
        pass


def on_disk(data: Path) -> list[str]:
    return sorted(path.name for path in (data / "drafts" / KEY / "photos").iterdir())


ALL = ["a.jpg", "a.txt", "b.jpg"]


def linked(data: Path) -> Path:
    (data.parent / "link").symlink_to(data)
    return data.parent / "link"


def moved(data: Path) -> Path:
    return data.rename(data.parent / "moved")


def copied(data: Path) -> Path:
    return Path(shutil.copytree(data, data.parent / "copy"))


def from_windows(data: Path) -> Path:
    return retold(data, f"C:\\\\avatars\\\\drafts\\\\{KEY}\\\\photos\\\\")


def retold(data: Path, folder: str) -> Path:
    """With this folder in the place of the photos' own, as JSON has it."""
    file = data / "drafts" / KEY / "draft.json"
    file.write_text(file.read_text().replace(f"{data}/drafts/{KEY}/photos/", folder))
    return data


@pytest.mark.parametrize("again", [linked, moved, copied, from_windows])
def test_photos_stay_with_their_captions_by_whatever_path_the_data_folder_is_reached(
    again: Callable[[Path], Path], data: Path
) -> None:
    now = again(data)
    desk = desk_in(now)
    own = tuple(now / "drafts" / KEY / "photos" / name for name in ("a.jpg", "b.jpg"))
    report = desk.draft(KEY).report
    assert report is not None and desk.draft(KEY).photos == own == tuple(verdict.path for verdict in report.photos)
    lay_out(desk, photo(now.parent, "c"))
    assert on_disk(now) == [*ALL, "c.jpg"] and len(desk.draft(KEY).photos) == 3


def test_what_was_laid_out_through_a_link_stays_without_it(data: Path, tmp_path: Path) -> None:
    desk = desk_in(linked(data))
    lay_out(desk, photo(tmp_path, "c"))
    lay_out(desk_in(data), photo(tmp_path, "d"))
    assert on_disk(data) == [*ALL, "c.jpg", "d.jpg"]


def test_what_is_done_in_a_copied_data_folder_is_nothing_to_the_original(data: Path, tmp_path: Path) -> None:
    copy = copied(data)
    (copy / "drafts" / KEY / "photos" / "b.jpg").unlink()
    desk = desk_in(copy)
    assert [path.name for path in desk.draft(KEY).photos] == ["a.jpg"]
    judging.remove(desk, KEY, "a.jpg")
    lay_out(desk, photo(tmp_path, "c"))
    assert on_disk(copy) == ["c.jpg"] and on_disk(data) == ALL


def test_a_photo_is_found_by_the_spelling_that_another_system_gave_its_name(data: Path) -> None:
    folder = data / "drafts" / KEY / "photos"
    (folder / "a.jpg").rename(folder / "\u00e4.jpg")
    file = data / "drafts" / KEY / "draft.json"
    stored = json.loads(file.read_text())
    stored["photos"] = [str(folder / "a\u0308.jpg")]
    file.write_text(json.dumps(stored))
    assert desk_in(data).draft(KEY).photos == (folder / "\u00e4.jpg",)


def test_tidying_spares_photos_by_all_of_their_names_and_all_while_one_is_missing(data: Path) -> None:
    folder = data / "drafts" / KEY / "photos"
    there = linked(data) / "drafts" / KEY / "photos"
    tidy(folder, [there / "a.jpg", there / "b.jpg"])
    assert on_disk(data) == ALL
    tidy(folder, [folder / "a.jpg", data.parent / "gone.jpg"])
    assert on_disk(data) == ALL
    (data.parent / "alias.jpg").symlink_to(folder / "a.jpg")
    tidy(folder, [data.parent / "alias.jpg"])
    assert on_disk(data) == ["a.jpg", "a.txt"]
