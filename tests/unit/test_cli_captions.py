"""`photos caption` and `photos lint` as a shell sees them."""
from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import blip_miniature
import pytest
import wd_tagger
from personal_avatar.cli import main
from personal_avatar.jobs import queue

from tests.unit.api.house import GOOD

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(queue, "POLL_S", 0.05)
    return tmp_path / "data"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for photo in GOOD[:2]:
        shutil.copy(photo, folder)
    return folder


@pytest.fixture
def run(data: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        status = main(["photos", *map(str, words), "--data", str(data)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


def texts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}


def test_the_template_is_written_beside_the_photos(run: Run, photos: Path) -> None:
    status, out, _ = run("caption", photos, "--trigger", "sks man", "--class", "man")
    assert status == 0 and "01.jpg: a photo of sks man" in out
    assert texts(photos) == {"01": "a photo of sks man\n", "02": "a photo of sks man\n"}


def test_captions_that_are_there_stay(run: Run, photos: Path) -> None:
    (photos / "01.txt").write_text("mine")
    status, out, _ = run("caption", photos, "--json")
    document: dict[str, Any] = json.loads(out)
    assert status == 0 and document["kept"] == [str(photos / "01.jpg")]
    assert [row["path"] for row in document["captions"]] == [str(photos / "02.jpg")]
    assert texts(photos) == {"01": "mine", "02": "a photo of a person\n"}
    run("caption", photos, "--overwrite")
    assert texts(photos)["01"] == "a photo of a person\n"


def test_of_two_photos_with_one_caption_file_one_is_described_and_the_other_named(run: Run, photos: Path) -> None:
    shutil.copy(photos / "01.jpg", photos / "01.png")
    status, out, err = run("caption", photos, "--json")
    document: dict[str, Any] = json.loads(out)
    assert status == 0 and [Path(row["path"]).name for row in document["captions"]] == ["01.jpg", "02.jpg"]
    assert [Path(row["path"]).name for row in document["skipped"]] == ["01.png"]
    assert "01.png and 01.jpg have one caption file, 01.txt" in err and texts(photos).keys() == {"01", "02"}


@pytest.mark.slow
def test_a_caption_file_of_two_photos_is_told_where_photos_are_checked(run: Run, photos: Path) -> None:
    shutil.copy(photos / "01.jpg", photos / "01.png")
    assert "caption file" not in run("check", photos)[2]
    (photos / "01.txt").write_text("a hat")
    assert "01.png and 01.jpg have one caption file, 01.txt" in run("check", photos)[2]


def test_a_caption_that_lies_elsewhere_is_mended_there(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a bald bald man with a tie")
    (photos / "01.txt").symlink_to(Path("..") / "mine.txt")
    assert run("lint", photos, "--trigger", "sks man", "--class", "man", "--mend")[0] == 0
    assert (photos / "01.txt").is_symlink() and (tmp_path / "mine.txt").read_text() == "sks man with a tie\n"


def test_a_tagger_whose_weights_are_missing_says_how_to_get_them(run: Run, photos: Path) -> None:
    for tagger, size in (("wd14", "378.5 MB"), ("blip", "989.8 MB")):
        status, out, err = run("caption", photos, "--with", tagger)
        assert status == 1 and out == "" and size in err and "doctor --fetch" in err and len(err.splitlines()) == 1
    status, _, err = run("caption", photos, "--with", "deepdanbooru")
    assert status == 1 and "DeepDanbooru is the WebUI's" in err
    assert texts(photos) == {}


def test_wd14_writes_tags(run: Run, data: Path, photos: Path) -> None:
    wd_tagger.make(data / "weights" / "wd14" / "wd-vit-tagger-v3")
    (photos / "02.jpg").write_bytes(b"broken")
    status, _, err = run("caption", photos, "--with", "wd14", "--set", "tag_from=0", "--trigger", "sks man")
    assert status == 0 and "02.jpg" in err
    (text,) = texts(photos).values()
    assert text.startswith("sks man, ") and "red dress" in text and "1girl" not in text
    assert run("caption", photos, "--with", "wd14", "--set", "tag_from=x")[0] == 2


@pytest.mark.slow
def test_blip_runs_as_a_job_and_writes_sentences(run: Run, data: Path, photos: Path) -> None:
    blip_miniature.make(data / "weights" / "blip")
    status, out, err = run("caption", photos, "--with", "blip", "--trigger", "sks man", "--class", "man", "--json")
    assert status == 0, err
    assert len(json.loads(out)["captions"]) == 2 and all("sks man" in text for text in texts(photos).values())
    assert list((data / "jobs").glob("*/photos")) == []


def test_lint_tells_and_mends_only_when_asked(run: Run, photos: Path) -> None:
    (photos / "01.txt").write_text("a bald bald man with a beard and a tie")
    (photos / "02.txt").write_text("sks man in a car")
    asked = ("lint", photos, "--trigger", "sks man", "--class", "man")
    status, out, _ = run(*asked)
    assert status == 0 and "names what belongs to the person: a beard, bald bald" in out and "add --mend" in out
    assert texts(photos)["01"].startswith("a bald")
    document = json.loads(run(*asked, "--json", "--mend")[1])
    assert document["captions"] == 2 and document["written"]
    assert {finding["code"] for finding in document["findings"]} == {"IDENTITY", "REPEATED", "TRIGGER_MISSING"}
    assert texts(photos) == {"01": "sks man with a tie\n", "02": "sks man in a car"}
    assert "nothing to mend" in run(*asked)[1]


def test_lint_without_captions_says_where_they_come_from(run: Run, photos: Path) -> None:
    status, out, _ = run("lint", photos)
    assert status == 0 and "photos caption" in out


def test_a_file_that_is_no_text_is_named(run: Run, photos: Path) -> None:
    (photos / "01.txt").write_bytes(b"caf\xe9")
    status, _, err = run("lint", photos)
    assert status == 1 and "01.txt is not written in UTF-8" in err
