"""Text files beside photos: what is taken from them, and that nothing in them makes a crash."""
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from personal_avatar.avatars import AvatarStore
from personal_avatar.captions.files import copy_with_caption, own_caption, with_trigger, without_captions
from personal_avatar.studio import pictures_in

TRIGGER = "sks man"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a picture")
    return path


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("smiling, in a park", "sks man, smiling, in a park"),
        ("a photo of sks man in a park", "a photo of sks man in a park"),
        ("SKS Man, in a park", "sks man, in a park"),
        ("sks mango juice", "sks man, sks mango juice"),
        ("unsks man", "sks man, unsks man"),
        ("two\nlines\r\n", "sks man, two lines"),
        ("  \n\t\n", ""),
        ("", ""),
        ("công viên, 公园 👨‍👩‍👧", "sks man, công viên, 公园 👨‍👩‍👧"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_trigger_is_in_every_caption(photo: Path, text: str, caption: str, encoding: str) -> None:
    photo.with_suffix(".txt").write_bytes(text.encode(encoding))
    assert own_caption(photo, TRIGGER) == caption


def test_without_a_file_there_is_no_caption(photo: Path) -> None:
    assert own_caption(photo, TRIGGER) == ""


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"caf\xe9", "not written in UTF-8"),
        (b"\xff\xfea", "not written in UTF-8"),
        (b"a\x00b", "not a text"),
        (b"\x89PNG\r\n\x1a\n", "not written in UTF-8"),
        (b"x" * 2001, "2001 characters"),
        (b"x" * 20_000, "longer than a caption"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(photo: Path, data: bytes, complaint: str) -> None:
    photo.with_suffix(".txt").write_bytes(data)
    with pytest.raises(ValueError, match=rf"^photo\.txt .*{complaint}"):
        own_caption(photo, TRIGGER)


def test_a_folder_in_place_of_the_file_is_named(photo: Path) -> None:
    photo.with_suffix(".txt").mkdir()
    with pytest.raises(ValueError, match="photo.txt cannot be read"):
        own_caption(photo, TRIGGER)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_a_caption_on_one_line_or_a_complaint(photo: Path, data: bytes) -> None:
    photo.with_suffix(".txt").write_bytes(data)
    try:
        caption = own_caption(photo, TRIGGER)
    except ValueError as problem:
        assert str(problem).startswith("photo.txt ")
    else:
        assert caption == "" or TRIGGER in caption
        assert len(caption.splitlines()) <= 1


@given(st.text(max_size=50), st.text("abc (.*", min_size=1, max_size=8).map(str.strip).filter(bool))
def test_a_trigger_that_was_added_is_not_added_again(text: str, trigger: str) -> None:
    once = with_trigger(text, trigger)
    assert trigger in once and with_trigger(once, trigger) == once


def test_a_photo_is_copied_with_its_caption(photo: Path, tmp_path: Path) -> None:
    copy_with_caption(photo, tmp_path / "1.jpg")
    assert (tmp_path / "1.jpg").read_bytes() == b"a picture" and not (tmp_path / "1.txt").exists()
    photo.with_suffix(".txt").write_text("smiling")
    copy_with_caption(photo, tmp_path / "2.jpg")
    assert own_caption(tmp_path / "2.jpg", TRIGGER) == "sks man, smiling"


def test_in_a_folder_captions_are_told_from_other_texts() -> None:
    files = [Path(name) for name in ("a.jpg", "a.txt", "b.TXT", "b.png", "notes.txt", "c.txt", "d.jpg")]
    left = [path.name for path in without_captions(files)]
    assert left == ["a.jpg", "b.png", "notes.txt", "c.txt", "d.jpg"]


def test_an_avatar_keeps_the_captions_of_its_photos(photo: Path, tmp_path: Path) -> None:
    photo.with_suffix(".txt").write_text("smiling")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (tmp_path / name).touch()
    assert pictures_in([tmp_path]) == [photo]
    store = AvatarStore(tmp_path / "avatars")
    avatar = store.open("Anna", user_id="", class_noun="woman", statement="yes")
    kept = store.add_photos(avatar, pictures_in([photo]))
    assert [own_caption(path, "sks woman") for path in kept] == ["sks woman, smiling"]
