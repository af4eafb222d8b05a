"""`personal-avatar gallery`: from the list of runs to a zip and to nothing left."""
from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.albums import favourites
from personal_avatar.studio import Studio

from tests.unit.api.house import DrawingHost
from tests.unit.command_line import on_drawings
from tests.unit.runs import finished_run

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture()
def job(data: Path) -> str:
    return finished_run(Studio(DrawingHost(data)))


@pytest.fixture()
def say(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """`gallery` with these words: exit status, stdout, stderr."""
    run = on_drawings(data, monkeypatch, capsys)
    return lambda *words: astuple(run("gallery", *words))


def document(said: tuple[int, str, str]) -> Any:
    assert said[0] == 0, said[2]
    return json.loads(said[1])


def test_runs_and_their_pictures_are_listed(say: Say, job: str) -> None:
    assert job[:8] in say()[1] and "3 pictures" in say("list")[1]
    (run,) = document(say("--json"))["runs"]
    assert (run["id"], run["pictures"], run["favourites"]) == (job, 3, 0)
    found = document(say("list", job[:6], "--sort", "quality", "--filter", "likeness>=0.8", "--json"))["images"]
    assert [image["n"] for image in found] == [1, 0]
    assert "sharpness" in say("list", job)[1]


def test_favourites_are_exported_and_what_is_deleted_is_gone(say: Say, job: str, data: Path, tmp_path: Path) -> None:
    liked = "".join(f"{job[:8]}: picture {number} is a favourite\n" for number in (0, 2))
    assert say("favourite", job, 0, 2)[:2] == (0, liked)
    assert say("unfavourite", job, 0)[:2] == (0, f"{job[:8]}: picture 0 is no favourite\n")
    out = tmp_path / "x.zip"
    told = document(say("export", job, "--filter", "favourite", "--size", "linkedin", "--out", out, "--json"))
    assert [image["n"] for image in told["images"]] == [2]
    assert zipfile.ZipFile(out).namelist()[0] == "001.png"
    assert document(say("delete", job, 2, "--json"))["images"][0]["left"] == []
    assert not list(data.rglob("0002*"))
    assert [image["n"] for image in document(say("list", job, "--json"))["images"]] == [0, 1]
    assert say("delete", job, 0)[1].splitlines()[0] == f"{job[:8]}: picture 0 deleted"


def test_a_run_whose_favourites_cannot_be_read_is_listed_without_them_and_nothing_of_it_is_changed(
    say: Say, job: str, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hearts = Studio(DrawingHost(data)).jobs.folder(job) / favourites.FILE
    hearts.mkdir()  # which no user may read as a file
    assert [(run["pictures"], run["favourites"]) for run in document(say("--json"))["runs"]] == [(3, 0)]
    assert f"{favourites.FILE} cannot be read now" in caplog.text
    assert len(document(say("list", job, "--json"))["images"]) == 3
    for action in "favourite", "delete":
        status, _, complaint = say(action, job, 0)
        assert status != 0 and f"{favourites.FILE} cannot be read now" in complaint
    hearts.rmdir()
    assert len(document(say("list", job, "--json"))["images"]) == 3


def pictures_and_a_letter(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("letter.txt", "mine")


def a_document(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<mine/>")


def a_backup_with_scores(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("scores.json", '{"chess": 3}')


def retouched(path: Path) -> None:
    """With all names as they were, and one picture that is the user's now."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    contents[next(iter(contents))] += b"by hand"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.zip"))
    path.symlink_to(path.with_name("elsewhere.zip"))


def a_link_that_leads_nowhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("a disk that is away.zip"))


@pytest.mark.parametrize("made", [
    lambda path: path.write_bytes(b"mine"), lambda path: path.write_bytes(path.read_bytes()[:100]), a_document,
    a_backup_with_scores, pictures_and_a_letter, retouched, a_link, a_link_that_leads_nowhere,
])
def test_an_export_takes_the_place_of_an_export_alone(
    say: Say, job: str, tmp_path: Path, made: Callable[[Path], None]
) -> None:
    out = tmp_path / "x.zip"
    assert [say("export", job, "--out", out)[0] for _ in range(2)] == [0, 0]
    made(out)
    before = [(path.name, path.is_symlink(), path.exists() and path.read_bytes()) for path in tmp_path.glob("*.zip")]
    status, _, complaint = say("export", job, "--out", out)
    assert status == 2 and "x.zip is there and is no export" in complaint
    assert before == [
        (path.name, path.is_symlink(), path.exists() and path.read_bytes()) for path in tmp_path.glob("*.zip")
    ]


@pytest.mark.parametrize("words", [["delete"], ["delete", "a"], ["favourite", "a"], ["export", "a"]])
def test_what_is_missing_in_the_command_is_said(say: Say, words: list[str]) -> None:
    status, _, complaint = say(*words)
    assert status == 2 and f"Write: personal-avatar gallery {words[0]}" in complaint


@pytest.mark.parametrize("words", [
    ["list", "--sort", "nope"], ["list", "--sort", "quality"], ["list", "--filter", "x>=1"], ["--filter", "favourite"],
    ["favourite", "a", "0", "--sort", "quality"], ["delete", "a", "0", "--filter", "likeness<=0.2"],
])
def test_order_and_limits_are_refused_where_they_choose_nothing(say: Say, words: list[str]) -> None:
    status, out, complaint = say(*words)
    assert (status, out) == (2, "") and "--sort and --filter choose among the pictures of one run" in complaint


def test_an_empty_gallery_says_so(say: Say) -> None:
    assert say()[1] == "There are no pictures yet.\n"
    assert document(say("--json")) == {"runs": []}


def test_a_run_a_number_or_a_filter_that_is_not_there_is_named(say: Say, job: str) -> None:
    assert "0 jobs begin with 'zz'" in say("list", "zz")[2]
    assert "there is no number 7" in say("delete", job, 7)[2]
    assert "is no filter" in say("list", job, "--filter", "beauty>=1")[2]
