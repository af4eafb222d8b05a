"""What a job is said to have died of when its process told nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from personal_avatar.jobs import endings


@pytest.mark.parametrize(("exit_code", "free_bytes", "name"), [
    (1, 0, "DISK_FULL"), (None, 4096, "DISK_FULL"), (-9, 0, "KILLED"), (1, 2**30, "CRASHED"), (None, 2**30, "KILLED"),
])
def test_a_process_that_found_no_room_for_its_last_word_ended_because_the_disk_is_full(
    exit_code: int | None, free_bytes: int, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free_bytes))
    ended = endings.outcome(tmp_path, exit_code, endings.oom_kills())
    assert getattr(ended, "code", "") == name


def test_a_folder_that_is_gone_is_no_full_disk(tmp_path: Path) -> None:
    assert getattr(endings.outcome(tmp_path / "gone", 1, endings.oom_kills()), "code", "") == "CRASHED"
