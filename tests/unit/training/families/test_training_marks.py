"""A file is known again by what it holds, wherever it lies and whenever it was written."""
from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from personal_avatar.training.families import marks
from personal_avatar.training.families.marks import Mark, parts_of


@pytest.fixture()
def file(tmp_path: Path) -> Path:
    path = tmp_path / "base.safetensors"
    path.write_bytes(bytes(range(256)) * 100)
    os.utime(path, ns=(1, 1))
    return path


def test_a_checkpoint_is_known_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("a", "b", "c"))
    content = bytes(range(256)) * 20_000
    first.write_bytes(content)
    second.write_bytes(content)
    third.write_bytes(content[:-1] + b"!")
    assert parts_of(first) == parts_of(second) != parts_of(third)
    assert parts_of(None) is parts_of(tmp_path / "gone") is None


def test_a_file_that_was_touched_or_put_back_from_a_backup_is_the_same(file: Path, tmp_path: Path) -> None:
    mark = Mark.of(file)
    assert mark.is_on(file)
    file.touch()
    assert mark.is_on(file)
    shutil.copyfile(file, tmp_path / "backup")
    file.unlink()
    assert not mark.is_on(file)
    (tmp_path / "backup").rename(file)
    assert mark.is_on(file)


@pytest.mark.parametrize("content", [b"!" + bytes(25_599), bytes(range(256)) * 101])
def test_another_content_or_size_is_another_file(file: Path, content: bytes) -> None:
    mark = Mark.of(file)
    file.write_bytes(content)
    assert not mark.is_on(file)


def test_nothing_is_read_as_long_as_size_and_time_are_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Mark.of(file)
    monkeypatch.setattr(marks, "parts_of", lambda path: pytest.fail("read"))
    assert mark.is_on(file)


def test_what_cannot_be_read_now_is_not_taken_for_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(path: Path) -> None:
        raise OSError("Input/output error")

    mark = Mark.of(file)
    file.touch()
    monkeypatch.setattr(marks, "parts_of", failing)
    assert not mark.is_on(file)


def test_where_there_was_no_file_none_is_the_same(tmp_path: Path, file: Path) -> None:
    assert not Mark.of(tmp_path / "gone").is_on(file)
