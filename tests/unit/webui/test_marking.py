"""Which of the WebUI's pictures are marked: those that show a person whom we put in, or with faces that we restored."""
from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from personal_avatar import pictures
from personal_avatar.pictures import EDITED, GENERATED, source_of
from personal_avatar.webui.ours import is_ours, mark_saved, was_restored
from PIL import Image

SECOND_NS = 10**9


@pytest.mark.parametrize(("infotext", "ours"), [
    ("a castle\nSteps: 20, Seed: 3", False),
    ("sks woman <lora:anna:0.8> at sea\nSteps: 20", True),
    ("sks woman <lyco:anna:0.8> at sea\nSteps: 20", True),
    ("sks woman <lora:bob:1>\nSteps: 20", False),
    ("a woman\nSteps: 20, Personal Avatar identity: faceid", True),
    ("", False),
])
def test_pictures_of_a_person_that_we_put_in_are_ours(infotext: str, ours: bool) -> None:
    assert is_ours(infotext, {"anna"}) is ours


@pytest.mark.parametrize(("said", "restored"), [
    ("Postprocess upscale by: 2, Personal Avatar restored faces: 2, Personal Avatar restored with: GFPGAN", True),
    ("Personal Avatar restored faces: 10", True),
    ("Personal Avatar restored faces: 0", False),
    ("Personal Avatar error: No face restorer is installed.", False),
    ("", False),
])
def test_the_extras_tab_says_whether_faces_were_restored(said: str, restored: bool) -> None:
    assert was_restored(said) is restored


def saved(path: Path, written_s: int) -> Path:
    """A picture as the WebUI writes it, so many seconds after the others."""
    Image.fromarray(np.full((8, 8, 3), 90, np.uint8)).save(path)
    os.utime(path, ns=(written_s * SECOND_NS, written_s * SECOND_NS))
    return path


@pytest.mark.parametrize("source", [GENERATED, EDITED])
def test_the_jpeg_that_the_webui_writes_beside_a_large_picture_is_marked_with_it(tmp_path: Path, source: str) -> None:
    picture, beside = saved(tmp_path / "a.png", 50), saved(tmp_path / "a.jpg", 51)
    older, whole = saved(tmp_path / "b.jpg", 20), saved(tmp_path / "b.png", 50)
    mark_saved(picture, source)
    mark_saved(whole, source)
    assert [source_of(path) for path in (picture, beside, whole)] == [source] * 3
    assert source_of(older) == ""


def test_a_picture_stays_when_there_is_no_room_for_its_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    picture = saved(tmp_path / "a.png", 50)
    before = picture.read_bytes()
    monkeypatch.setattr(pictures, "write_bytes", full)
    mark_saved(picture)
    mark_saved(tmp_path / "gone.png")
    assert picture.read_bytes() == before
