"""Pictures taken along: captions come with them, and what goes wrong leaves nothing half done."""
from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.captions.files import written_caption
from personal_avatar.commands.common import pictures
from personal_avatar.errors import BadInput
from personal_avatar.studio.taking import take

from tests.unit.locks import lock


def written(folder: Path, **contents: str) -> dict[str, Path]:
    """Files of these stems: pictures, and captions beside those whose content says one."""
    folder.mkdir(exist_ok=True)
    for stem, content in contents.items():
        (folder / f"{stem}.jpg").write_text(f"picture {stem}")
        if content:
            (folder / f"{stem}.txt").write_text(content)
    return {stem: folder / f"{stem}.jpg" for stem in contents}


def told(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def other_disk(patch: pytest.MonkeyPatch) -> None:
    """Nothing can be renamed from one folder to another, as between two disks."""
    rename = os.rename

    def within(source: Any, target: Any, **more: Any) -> None:
        if Path(source).parent != Path(target).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target, **more)

    patch.setattr(os, "rename", within)


@pytest.mark.parametrize(
    "name", ["x" * 250 + ".png", "\u540d" * 83 + ".png", "x." + "y" * 250], ids=["one byte each", "three", "suffix"]
)
def test_pictures_of_long_names_are_taken_by_shorter_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a picture")
    taken = [*take([tmp_path / name], tmp_path / "best"), *take([tmp_path / name], tmp_path / "best", move=True)]
    assert sorted(taken) == sorted((tmp_path / "best").iterdir()) and len(taken) == 2
    assert all(path.name.startswith(f"001-{name[0]}") and path.read_bytes() == b"a picture" for path in taken)


@pytest.mark.parametrize("move", [False, True])
@pytest.mark.parametrize("apart", [False, True], ids=["one disk", "two disks"])
def test_captions_come_along_under_the_names_of_their_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: bool, apart: bool
) -> None:
    if apart:
        other_disk(monkeypatch)
    files, best = written(tmp_path / "in", a="a hat", b=""), tmp_path / "best"
    (best / "001-a.txt").parent.mkdir()
    (best / "001-a.txt").write_text("somebody else's")
    assert take([files["a"], files["b"]], best, move) == [best / "001-a-2.jpg", best / "002-b.jpg"]
    assert told(best) == {"001-a-2.jpg": "picture a", "001-a-2.txt": "a hat", "001-a.txt": "somebody else's",
                          "002-b.jpg": "picture b"}
    assert len(told(tmp_path / "in")) == (0 if move else 3)


def test_a_caption_of_two_pictures_stays_until_both_are_moved(tmp_path: Path) -> None:
    file = written(tmp_path / "in", a="a hat")["a"]
    shutil.copyfile(file, file.with_suffix(".png"))
    take([file], tmp_path / "best", move=True)
    assert sorted(told(tmp_path / "in")) == ["a.png", "a.txt"]
    take([file.with_suffix(".png")], tmp_path / "best", move=True)
    assert told(tmp_path / "in") == {}
    assert sorted(told(tmp_path / "best")) == ["001-a-2.png", "001-a-2.txt", "001-a.jpg", "001-a.txt"]


def test_of_a_link_the_picture_is_moved_that_it_leads_to_and_the_original_stays(tmp_path: Path) -> None:
    original = written(tmp_path / "originals", a="")["a"]
    (tmp_path / "in").mkdir()
    link = tmp_path / "in" / "me.jpg"
    link.symlink_to(Path("..") / "originals" / "a.jpg")
    (taken,) = take([link], tmp_path / "best", move=True)
    assert taken.read_text() == "picture a" and not taken.is_symlink()
    assert original.is_file() and not os.path.lexists(link)


def test_a_picture_and_a_link_to_it_are_both_moved_in_their_order(tmp_path: Path) -> None:
    file = written(tmp_path / "in", a="")["a"]
    link = file.with_name("b.jpg")
    link.symlink_to("a.jpg")
    assert [path.name for path in take([file, link], tmp_path / "best", move=True)] == ["001-a.jpg", "002-b.jpg"]
    assert told(tmp_path / "best") == {"001-a.jpg": "picture a", "002-b.jpg": "picture a"} and told(file.parent) == {}


@pytest.mark.parametrize("move", [False, True])
def test_a_disk_that_runs_full_leaves_whole_pictures_alone_and_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, move: bool
) -> None:
    other_disk(monkeypatch)
    files, copy = written(tmp_path / "in", a="a hat", b="a scarf"), shutil.copyfile

    def filling(source: Path, target: Path) -> Path:
        if source.name == "b.jpg":
            target.write_text("pict")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", filling)
    with pytest.raises(BadInput, match=r"1 of 2 pictures were taken, and are in .*best \(001-a\.jpg\)"):
        take(list(files.values()), tmp_path / "best", move)
    assert told(tmp_path / "best") == {"001-a.jpg": "picture a", "001-a.txt": "a hat"}
    assert told(tmp_path / "in").keys() >= {"b.jpg", "b.txt"} and ("a.jpg" in told(tmp_path / "in")) != move


@pytest.mark.parametrize("apart", [False, True], ids=["one disk", "two disks"])
def test_what_cannot_be_removed_from_its_place_is_not_copied_however_often_it_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: bool
) -> None:
    files = list(written(tmp_path / "in", a="a hat", b="").values())
    if apart:
        other_disk(monkeypatch)
        lock(monkeypatch, "a.jpg")
    else:
        monkeypatch.setattr(os, "rename", refuse)
    for _ in range(2):
        with pytest.raises(BadInput, match="No picture was taken"):
            take(files, tmp_path / "best", move=True)
    assert told(tmp_path / "best") == {} and len(told(tmp_path / "in")) == 3


@pytest.mark.parametrize("caption", ["", "a hat"])
@pytest.mark.parametrize("ending", [".txt", ".caption"])
def test_a_caption_that_lies_there_from_earlier_becomes_no_other_pictures(
    tmp_path: Path, caption: str, ending: str
) -> None:
    earlier = tmp_path / "best" / f"001-a{ending}"
    earlier.parent.mkdir()
    earlier.write_text("of another picture")
    (taken,) = take(list(written(tmp_path / "in", a=caption).values()), earlier.parent)
    assert written_caption(taken) == caption and earlier.read_text() == "of another picture"


def refuse(*_: object) -> None:
    raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_picture_that_is_named_with_its_folder_is_taken_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = written(tmp_path / "in", a="", b="")
    monkeypatch.chdir(tmp_path)
    found = pictures([Path("in"), files["b"], Path("in", "..", "in", "a.jpg")])
    assert [path.name for path in found] == ["a.jpg", "b.jpg"]
    assert len(take(found, tmp_path / "best", move=True)) == 2
