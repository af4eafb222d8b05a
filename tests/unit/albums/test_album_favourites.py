"""Hearts: none is lost because their file cannot be read as it is, or not now."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.albums import favourites
from personal_avatar.errors import NotReadable


def test_hearts_are_read_behind_the_mark_that_editors_put_before_utf_8(tmp_path: Path) -> None:
    favourites.write(tmp_path, frozenset({1, 4}))
    file = tmp_path / favourites.FILE
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    favourites.write(tmp_path, favourites.read(tmp_path) | {7})
    assert favourites.read(tmp_path) == {1, 4, 7} and [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("damaged", [
    '{"favourites": [1, 4,]}', '{"favourites": ["x"]}', '{"favourites": [Infinity]}', "{}", "[1]", "",
])
def test_a_damaged_list_of_hearts_is_kept_aside_when_it_is_written_over(tmp_path: Path, damaged: str) -> None:
    (tmp_path / favourites.FILE).write_text(damaged)
    assert favourites.read(tmp_path) == frozenset()
    favourites.write(tmp_path, frozenset({2}))
    assert favourites.read(tmp_path) == {2}
    assert (tmp_path / f"{favourites.FILE}.damaged").read_text() == damaged


def test_hearts_that_cannot_be_read_now_are_neither_none_nor_written_over(tmp_path: Path) -> None:
    (tmp_path / favourites.FILE).mkdir()  # which no user may read as a file
    for act in (favourites.read, lambda folder: favourites.write(folder, frozenset({2}))):
        with pytest.raises(NotReadable, match="cannot be read now"):
            act(tmp_path)
