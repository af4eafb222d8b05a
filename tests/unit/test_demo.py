"""The demo's shape: the whole chain of commands on the shipped samples, with a training that a script plays."""
from __future__ import annotations

import html
import json
from pathlib import Path

import pytest
from personal_avatar import demo
from personal_avatar.avatars import AvatarStore
from personal_avatar.cli import main
from personal_avatar.jobs import queue
from personal_avatar.standalone import host as standalone

from tests.unit.api.house import DrawingHost


@pytest.mark.slow
@pytest.mark.parametrize(("method", "times", "line"), [
    ("lora", 2, "<lora:ruby:1> sks woman"), ("textual-inversion", 1, "sks woman"), ("dreambooth", 1, "sks woman"),
])
def test_the_demo_leaves_what_it_promises_and_can_be_repeated(
    tmp_path: Path, face_weights: Path, method: str, times: int, line: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(standalone, "StandaloneHost", DrawingHost)
    monkeypatch.setattr(queue, "POLL_S", 0.05)
    (tmp_path / "demo" / "data").mkdir(parents=True)
    (tmp_path / "demo" / "data" / "weights").symlink_to(face_weights, target_is_directory=True)
    mine = [tmp_path / "demo" / name for name in ("portraits/mine.png", "portraits/001.jpg", "mine.html", "a.json")]
    (tmp_path / "demo" / "portraits").mkdir()
    for file in mine:
        file.write_bytes(b"mine")
    jobs = set()
    for _ in range(times):
        capsys.readouterr()
        assert main(["demo", "--out", str(tmp_path / "demo"), "--method", method, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert json.loads((tmp_path / "demo" / "report.json").read_text()) == document
        jobs.add(document["job"])
    assert len(jobs) == times
    assert {"job", "state", "files", "likeness", "leakage", "seconds", "error"} <= set(document)
    assert [Path(file).name for file in document["files"]] == ["ruby.safetensors", "contact-sheet.png", "report.html"]
    assert all(Path(file).is_file() for file in document["files"])
    assert f"<code>{html.escape(line)}</code>" in (tmp_path / "demo" / "report.html").read_text()
    assert [file.read_bytes() for file in mine] == [b"mine"] * len(mine)
    images = document["images"]
    restored = sum(bool(image["restored"]) for image in images)
    assert len(list((tmp_path / "demo" / "portraits").glob("*-*.*"))) == 24 + restored
    assert len(images) == 24
    assert len({image["style"] for image in images}) == 4
    scores = [image["scores"]["overall"] for image in images if image["likeness"] is not None]
    assert scores == sorted(scores, reverse=True)


def test_results_of_others_in_the_demos_folder_are_never_its_own(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps({"files": [str(tmp_path / "mine.html")], "images": []}))
    assert demo._earlier(tmp_path) == [] and demo._earlier(tmp_path / "none") == []


def test_an_avatar_of_the_users_own_that_is_called_as_the_demos_is_refused_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(standalone, "StandaloneHost", DrawingHost)
    avatars = AvatarStore(tmp_path / "data" / "avatars")
    avatars.save(avatars.open("Ruby", user_id="local", class_noun="man", statement="I agreed."))
    assert main(["demo", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "demo")]) == 1
    assert "is an avatar Ruby" in capsys.readouterr().err
    assert [avatar.class_noun for avatar in avatars.all()] == ["man"]
