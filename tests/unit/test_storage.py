"""Files are old or new, never half; names never leave their folder."""
from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar import storage
from personal_avatar.storage import files_below, nearest_there, sha256_of, short, slug, write_bytes, write_json


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    write_json(tmp_path / "a" / "b" / "c.json", {"name": "Ánh"})
    assert json.loads((tmp_path / "a" / "b" / "c.json").read_text(encoding="utf-8")) == {"name": "Ánh"}


def test_a_name_that_is_no_text_comes_back_as_it_was(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg") if os.name != "nt" else "caf\udce9.jpg"
    write_json(tmp_path / "a.json", {"photos": [name], name: "Ánh"})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"photos": [name], name: "Ánh"}


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "status.json"
    write_bytes(path, b"old")
    monkeypatch.setattr(storage.os, broken, full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["status.json"]


@pytest.mark.parametrize("name", ["x" * 251 + ".png", "\u540d" * 83 + ".png"], ids=["one byte each", "three"])
def test_a_file_may_have_the_longest_name_that_there_can_be(tmp_path: Path, name: str) -> None:
    write_bytes(tmp_path / name, b"a")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(("name", "begins"), [
    ("", ""), ("x" * 20, "x" * 20), ("x" * 21, "x" * 20), ("\u540d" * 9, "\u540d" * 6), ("\udcff" * 21, "\udcff" * 20),
])
def test_a_long_name_is_cut_between_two_letters(name: str, begins: str) -> None:
    assert short(name, 20) == begins


def test_files_are_found_in_linked_folders_too_and_links_lead_nowhere_twice(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder, name in ((here, "b.pt"), (here, "a.pt"), (here / "part 10", "c.pt"), (here / "part 9", "c.pt"),
                         (elsewhere, "d.pt")):
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
    (here / "linked").symlink_to(elsewhere, target_is_directory=True)
    (here / "part 9" / "round").symlink_to(here, target_is_directory=True)
    found = [path.relative_to(here).as_posix() for path in files_below(here)]
    assert found == ["a.pt", "b.pt", "linked/d.pt", "part 9/c.pt", "part 10/c.pt"]
    assert files_below(tmp_path / "nowhere") == []


def test_the_nearest_that_is_there_may_be_a_file_or_a_link_that_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for path in (tmp_path, tmp_path / "file", tmp_path / "link"):
        assert nearest_there(path) == path
        assert nearest_there(path / "new" / "folder") == path
    monkeypatch.chdir(tmp_path)
    assert nearest_there(Path("new")) == tmp_path
    monkeypatch.setattr(os.path, "lexists", lambda place: False)  # as on a drive that is not there
    assert nearest_there(tmp_path) is None


def test_a_hash_is_of_the_content(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    (tmp_path / "x").write_bytes(data)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(data).hexdigest()


@given(st.text(max_size=80))
def test_a_slug_is_a_safe_name_and_a_slug_of_itself(name: str) -> None:
    word = slug(name)
    assert 1 <= len(word) <= 48
    assert set(word) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert not word.startswith("-")
    assert slug(word) == word


@pytest.mark.parametrize(("name", "word"), [
    ("Anna", "anna"), ("Nguyễn Thị Đào", "nguyen-thi-dao"), ("../../etc", "etc"), ("a" * 60, "a" * 48),
    ("CON", "avatar-con"), ("Lpt1", "avatar-lpt1"), ("Connie", "connie"),
])
def test_slugs_are_readable(name: str, word: str) -> None:
    assert slug(name) == word


def test_names_without_latin_letters_differ() -> None:
    assert slug("小明") != slug("小红")
    assert slug("小明").startswith("avatar-")


def test_a_lock_is_one_holders_and_waits_for_the_others(tmp_path: Path) -> None:
    inside, most = list[int](), list[int]()

    def work(number: int) -> None:
        with storage.locked(tmp_path / "locks" / "a"):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.01)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6
    with storage.locked(tmp_path / "a"), pytest.raises(TimeoutError), storage.locked(tmp_path / "a", 0.05):
        raise AssertionError("two at once")


def test_where_there_are_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "try_lock", lambda handle: False)
    with storage.locked(tmp_path / "a", 0.05):
        assert (tmp_path / "a").exists()
