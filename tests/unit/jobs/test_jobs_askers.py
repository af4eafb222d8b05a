"""A wish that several processes may have at the same time holds as long as one of them does, and lives."""
from __future__ import annotations

import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from personal_avatar.jobs import whereabouts
from personal_avatar.jobs.control import CANCEL, YIELD, Control

from tests.unit.locks import lock


@pytest.fixture()
def control(tmp_path: Path) -> Control:
    return Control(tmp_path)


def test_it_holds_until_the_last_one_has_left(control: Control) -> None:
    one, other = control.join(YIELD), control.join(YIELD)
    control.leave(one)
    assert control.asked(YIELD)
    control.leave(other)
    assert not control.asked(YIELD)


def test_leaving_twice_is_harmless(control: Control) -> None:
    one, other = control.join(YIELD), control.join(YIELD)
    control.leave(one)
    control.leave(one)
    assert control.asked(YIELD)
    control.leave(other)
    control.leave(other)


def test_who_is_gone_does_not_ask_any_more(control: Control, tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from personal_avatar.jobs.control import YIELD, Control
print(Control(Path({str(tmp_path)!r})).join(YIELD).name)
"""
    left = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert (tmp_path / "control" / YIELD / left).exists()
    assert not control.asked(YIELD)
    assert list((tmp_path / "control" / YIELD).iterdir()) == []


def test_a_process_with_the_number_of_one_that_is_gone_does_not_ask(control: Control) -> None:
    asker = control.join(YIELD)
    pid, since, rest = asker.name.split("_")
    asker.rename(asker.with_name(f"{pid}_{float(since) - 60:.2f}_{rest}"))
    assert not control.asked(YIELD)


def test_a_name_that_says_nothing_is_nobody(control: Control, tmp_path: Path) -> None:
    control.join(YIELD).rename(tmp_path / "control" / YIELD / "somebody")
    assert not control.asked(YIELD)


def test_on_a_network_folder_who_leaves_is_forgotten_and_stops_nobody(
    control: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS gives what is open a hidden name, under which nobody can remove it before it is closed."""
    folder, unlink = tmp_path / "control" / YIELD, Path.unlink

    def of_nfs(path: Path, missing_ok: bool = False) -> None:
        if path.name.startswith(".nfs"):
            raise OSError(errno.EBUSY, "Device or resource busy", str(path))
        if path in whereabouts._held:
            path.rename(path.with_name(".nfs0000000000000001"))
        else:
            unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", of_nfs)
    control.leave(control.join(YIELD))
    assert list(folder.iterdir()) == [] and not control.asked(YIELD)
    (folder / ".nfs0000000000000002").touch()  # another program's, which left just now
    assert not control.asked(YIELD)


def test_who_is_gone_and_cannot_be_taken_away_now_does_not_ask(
    control: Control, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "control" / YIELD).mkdir(parents=True)
    (tmp_path / "control" / YIELD / "999999999_1.00_abc").touch()
    with monkeypatch.context() as patch:
        lock(patch, "999999999_1.00_abc")
        assert not control.asked(YIELD)
    assert not control.asked(YIELD) and list((tmp_path / "control" / YIELD).iterdir()) == []


def test_nothing_is_made_of_a_job_that_was_deleted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Control(tmp_path / "gone").join(YIELD)


def test_it_can_be_withdrawn_for_all(control: Control) -> None:
    control.join(YIELD)
    control.join(YIELD)
    control.withdraw(YIELD)
    assert not control.asked(YIELD)


def test_wishes_of_one_alone_are_as_before(control: Control) -> None:
    control.ask(CANCEL)
    assert control.asked(CANCEL)
    control.withdraw(CANCEL)
    assert not control.asked(CANCEL)


def test_many_come_and_go_at_the_same_time(control: Control) -> None:
    missed: list[int] = []

    def visit() -> None:
        for turn in range(50):
            asker = control.join(YIELD)
            if not asker.exists() or not control.asked(YIELD):
                missed.append(turn)
            control.leave(asker)

    with ThreadPoolExecutor(4) as visitors:
        for visitor in [visitors.submit(visit) for _ in range(4)]:
            visitor.result()
    assert not missed
    assert not control.asked(YIELD)
