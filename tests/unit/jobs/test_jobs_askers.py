"""A wish that several processes may have at the same time holds as long as one of them does, and lives."""
from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from personal_avatar.jobs.control import CANCEL, YIELD, Control


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
