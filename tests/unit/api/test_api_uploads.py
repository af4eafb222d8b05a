"""Uploaded pictures: whatever text comes, it is decoded exactly or refused by name."""
from __future__ import annotations

import base64
import os
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from personal_avatar.api import uploads
from personal_avatar.api.uploads import BEGINNING, decode, received, received_photos, refuse_no_pictures
from personal_avatar.errors import AvatarError, FileTooLarge, InvalidSettings
from PIL import Image

PREFIXES = ["", "data:;base64,", "data:image/png;base64,", "DATA:image/svg+xml;a=b;BASE64,", " data:x/y;base64,"]


@given(st.binary(min_size=1, max_size=300), st.sampled_from(PREFIXES), st.sampled_from(["", "\n", "\r\n", " \t"]))
def test_a_picture_comes_out_as_it_went_in(data: bytes, prefix: str, gap: str) -> None:
    text = base64.b64encode(data).decode()
    assert decode(prefix + gap.join([text[:7], text[7:], ""]), "images[0]") == data


@given(st.text(max_size=200) | st.builds(lambda text: "data:image/png;base64," + text, st.text(max_size=50)))
def test_any_text_is_decoded_or_refused(text: str) -> None:
    try:
        assert decode(text, "images[3]")
    except InvalidSettings as error:
        assert "images[3]" in error.message


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_names_are_ours_and_nothing_stays(contents: list[bytes]) -> None:
    with received([base64.b64encode(data).decode() for data in contents]) as paths:
        assert [path.read_bytes() for path in paths] == contents
        assert [path.name for path in paths] == [f"images[{number}]" for number in range(len(contents))]
        folder = paths[0].parent if paths else None
    assert folder is None or not folder.exists()


def test_nothing_stays_when_a_picture_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(AvatarError), received(["aGVsbG8=", "%"]):
        raise AssertionError("not reached")
    assert os.listdir(tmp_path) == []


def beginning_of_a_png(side_px: int) -> bytes:
    data = BytesIO()
    Image.new("1", (side_px, side_px)).save(data, "PNG")
    return data.getvalue()[:100]


@pytest.mark.parametrize("data", [
    beginning_of_a_png(64), beginning_of_a_png(9000), b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
], ids=["broken", "too large", "of another format"])
def test_a_training_gets_pictures_that_cannot_be_read_but_nothing_else(data: bytes) -> None:
    """Too large, broken, in a format that is not installed: the report on the photos says so."""
    picture, word = (base64.b64encode(one).decode() for one in (data, b"hello"))
    with received_photos([picture]) as paths:
        assert paths[0].read_bytes() == data
    with pytest.raises(InvalidSettings, match=r"^images\[1\] is not a picture"), received_photos([picture, word]):
        raise AssertionError("not reached")


def picture(kind: str, **how: Any) -> bytes:
    """Several times as large as what is looked at."""
    data = BytesIO()
    Image.effect_noise((200, 200), 90).convert("RGB").save(data, kind, **how)
    assert len(data.getvalue()) > 2 * BEGINNING
    return data.getvalue()


PICTURES = {
    **{kind: picture(kind, **how) for kind, how in {
        "PNG": {}, "WEBP": {"lossless": True}, "BMP": {}, "TIFF": {}, "TGA": {}, "GIF": {}, "JPEG": {"quality": 99},
    }.items()},
    "with a long profile": picture("JPEG", icc_profile=bytes(90_000)),
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(3 * BEGINNING),
}


@pytest.mark.parametrize("name", PICTURES)
def test_at_a_glance_no_picture_is_refused_however_it_is_written(name: str) -> None:
    text = base64.b64encode(PICTURES[name]).decode()
    refuse_no_pictures([text, PREFIXES[2] + text, "\n" * 5000 + text, base64.encodebytes(PICTURES[name]).decode()])


def test_at_a_glance_all_are_named_that_are_no_pictures() -> None:
    good, word = (base64.b64encode(data).decode() for data in (PICTURES["PNG"], b"Hello. " * BEGINNING))
    with pytest.raises(InvalidSettings) as caught:
        refuse_no_pictures([good, word, " ", "%" * 9999, "aGVsbG8=", good])
    assert caught.value.message == (
        "images[1] is not a picture; images[2] is empty; images[3] is not base64; images[4] is not a picture."
    )


def test_a_glance_reads_a_beginning_and_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    decoded = base64.b64decode
    monkeypatch.setattr(base64, "b64decode", lambda text, **how: read.append(len(text)) or decoded(text, **how))
    monkeypatch.setattr(uploads.tempfile, "tempdir", "/no/such/folder")
    refuse_no_pictures([base64.b64encode(PICTURES["PNG"] + bytes(10**7)).decode()] * 3)
    assert read == [BEGINNING] * 3


@pytest.mark.parametrize("size", [100, 101, 5000])
def test_the_limit_is_exact_enough(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(uploads, "MAX_PICTURE_BYTES", 100)
    text = base64.b64encode(b"x" * size).decode()
    if size <= 100 + 1024:
        assert len(decode(text, "images[0]")) == size
    else:
        with pytest.raises(FileTooLarge, match=r"images\[0\]"):
            decode(text, "images[0]")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=100), min_size=1, max_size=3))
def test_files_that_are_no_pictures_get_a_verdict(client: TestClient, contents: list[bytes]) -> None:
    images = [base64.b64encode(data).decode() for data in contents]
    answer = client.post("/personal-avatar/v1/photos/check", json={"images": images})
    assert answer.status_code == 200, answer.text
    assert {photo["verdict"] for photo in answer.json()["photos"]} == {"rejected"}
