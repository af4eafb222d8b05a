"""What the worker takes for a wish: of the user, of whoever ends processes, of whoever deleted the job."""
from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.worker.main import heed_signals
from personal_avatar.worker.wishes import FolderControl


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "job.json").write_text('{"kind": "caption", "payload": {}}')
    (folder / "events.jsonl").touch()
    return folder


@pytest.fixture()
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_deleted_job_ends_and_keeps_nothing(folder: Path) -> None:
    control = FolderControl(folder)
    assert not control.asked(CANCEL) and not control.asked(DISCARD)
    shutil.rmtree(folder)
    assert control.asked(CANCEL) and control.asked(DISCARD) and not control.asked(PAUSE)
    with pytest.raises(Cancelled, match="deleted"):
        control.check()
    control.ask(CANCEL)
    assert not folder.exists()


def test_one_lost_file_is_damage_and_no_wish(folder: Path) -> None:
    (folder / "job.json").unlink()
    control = FolderControl(folder)
    control.check()
    control.ask(CANCEL)
    assert control.asked(CANCEL) and not control.asked(DISCARD)


def test_an_interruption_is_a_pause_for_this_process_only(folder: Path) -> None:
    control = FolderControl(folder)
    control.interrupt()
    assert control.asked(PAUSE) and not Control(folder).asked(PAUSE)
    control.check()


@pytest.mark.usefixtures("_signals")
def test_what_cannot_pause_is_cancelled_by_a_signal(folder: Path) -> None:
    control = FolderControl(folder)
    heed_signals(folder, control)
    os.kill(os.getpid(), signal.SIGTERM)
    assert Control(folder).asked(CANCEL) and not control.asked(PAUSE)
