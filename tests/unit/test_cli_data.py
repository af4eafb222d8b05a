"""`--data`: which folders the command line takes, and what it says of others."""
from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.cli import main

from tests.unit.api.house import GOOD

EVERYTHING = [
    ["jobs"], ["doctor"], ["avatars"], ["gallery"], ["train", "--photos", str(GOOD[0]), "--name", "x"],
    ["train", "--photos", str(GOOD[0]), "--name", "x", "--checkpoint", "avatar-tiny"],
]


@pytest.mark.parametrize("words", EVERYTHING)
def test_a_data_folder_that_cannot_be_made_is_told_with_what_to_do(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, *args: Any, **more: Any) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert main([*words, "--data", str(tmp_path / "nope"), "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "NOT_WRITABLE" and str(tmp_path / "nope") in error["message"]
    assert error["hint"] == "Allow writing there, or name another folder with --data."


def test_a_file_in_the_place_of_a_folder_of_models_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").write_text("mine")
    assert main(["jobs", "--data", str(tmp_path)]) == 1
    assert f"Nothing can be written into {tmp_path / 'models'}" in capsys.readouterr().err


@pytest.mark.parametrize("words", [
    ["gallery", "--data", ""], ["jobs", "--data="],
    ["compare", "--name", "x", "--out", ""], ["restore", "a.png", "--out="],
])
def test_an_empty_name_of_a_folder_is_not_the_one_that_the_shell_is_in(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2 and "'' names no folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
