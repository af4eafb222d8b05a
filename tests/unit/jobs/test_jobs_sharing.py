"""Jobs of other processes park while the host makes a picture, and go on whatever becomes of the host."""
from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from personal_avatar.errors import WrongState
from personal_avatar.jobs import process
from personal_avatar.jobs.control import YIELD, Control
from personal_avatar.jobs.events import EventWriter, Stage
from personal_avatar.jobs.executors import CARRIER
from personal_avatar.jobs.neighbours import Neighbour
from personal_avatar.jobs.sharing import Guest, yielded
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore

from tests.unit.jobs.yielding import ON_CARD, around, go_on, parkings, steps, trainings, until

pytestmark = pytest.mark.slow


@pytest.fixture()
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture()
def start(store: JobStore) -> Iterator[Callable[[str], str]]:
    """Start a job that looks for wishes but in its stage "prepare"; returns its id when it works."""
    with trainings(store) as begin:
        yield begin


@contextmanager
def within(most_s: float, least_s: float = 0.0) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert least_s <= time.monotonic() - began < most_s


def asks(store: JobStore, job_id: str) -> bool:
    return Control(store.folder(job_id)).asked(YIELD)


def test_a_training_stands_still_for_the_block_and_goes_on_after_it(
    store: JobStore, start: Callable[[str], str]
) -> None:
    job_id = start("train")
    folder = store.folder(job_id)
    with yielded(around(store)) as answer:
        assert answer.parked == answer.asked == (job_id,)
        before = steps(folder)
        time.sleep(0.1)
        assert steps(folder) == before
    until(lambda: steps(folder) > before)
    assert parkings(folder) == [True, False]


def test_a_training_that_judges_what_it_learned_between_two_steps_is_on_the_card_as_before(
    store: JobStore
) -> None:
    folder = store.folder(store.create("train", {}, title="a training", user_id="local", avatar_id="").id)
    one = Neighbour(folder, folder / "asker", ON_CARD, os.getpid(), process.started_at(os.getpid()))
    emit = EventWriter(folder)
    for stage, awaited in (
        (Stage("prepare"), False), (Stage("train"), True), (Stage("judge", within="train"), True),
        (Stage("selftest"), False),
    ):
        emit(stage)
        assert one.is_awaited() == awaited, stage


def test_a_view_tells_that_it_waits(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("train")
    with yielded(around(store)):
        assert store.view(job_id).parked and store.view(job_id).to_json()["parked"]
    until(lambda: not store.view(job_id).parked)


def test_it_goes_on_after_a_failure_too(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))
    with pytest.raises(RuntimeError), yielded(around(store)):
        raise RuntimeError("no picture")
    until(lambda: parkings(folder) == [True, False])


def test_one_that_fills_its_cache_is_waited_for(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("cache")
    with yielded(around(store)) as answer:
        assert answer.parked == (job_id,)


def test_nobody_waits_for_one_that_prepares_itself(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("prepare")
    with within(2), yielded(around(store), timeout_s=20) as answer:
        assert answer.asked == (job_id,) and not answer.parked
        assert Control(store.folder(job_id)).asked(YIELD)


def test_nobody_waits_longer_than_agreed_and_only_once(
    store: JobStore, start: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    job_id = start("train")
    (store.folder(job_id) / "deaf").touch()
    guest = Guest(lambda: around(store), lambda: False, grace_s=0.5)
    with within(5, 0.3):
        assert not guest.come(lambda: True, timeout_s=0.3).parked
    assert job_id in caplog.text
    with within(5):
        guest.come(lambda: True, timeout_s=20)
    (store.folder(job_id) / "deaf").unlink()
    until(lambda: store.view(job_id).parked)
    until(lambda: not asks(store, job_id) and not store.view(job_id).parked)


def test_nobody_waits_for_one_that_was_halted(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("train")
    halted = psutil.Process(store.status(job_id).pid)
    halted.suspend()
    with within(5), yielded(around(store), timeout_s=20) as answer:
        assert answer.asked and not answer.parked
    halted.resume()


def test_nobody_waits_for_one_that_dies(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("train")
    (store.folder(job_id) / "deaf").touch()
    status = store.status(job_id)
    threading.Timer(0.2, process.kill, (status.pid, status.pid_started_at)).start()
    with within(10), yielded(around(store), timeout_s=20) as answer:
        assert not answer.parked


def test_two_who_ask_at_once_are_waited_for(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))
    with yielded(around(store)):
        with yielded(around(store)) as second:
            assert second.parked
        before = steps(folder)
        time.sleep(0.1)
        assert steps(folder) == before
    until(lambda: parkings(folder) == [True, False])


def test_it_goes_on_when_who_asked_was_killed(store: JobStore, start: Callable[[str], str], tmp_path: Path) -> None:
    folder = store.folder(start("train"))
    program = f"""
import os, signal
from pathlib import Path
from personal_avatar.jobs.sharing import yielded
from personal_avatar.jobs.store import JobStore
from tests.unit.jobs.yielding import around
with yielded(around(JobStore(Path({str(tmp_path / "jobs")!r})))):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", program], check=False, timeout=30)
    until(lambda: parkings(folder) == [True, False])


def test_work_of_our_own_process_and_of_other_kinds_is_not_asked(store: JobStore) -> None:
    mine = store.create("train", {}, title="", user_id="", avatar_id="")
    store.move(mine.id, State.RUNNING, pid=os.getpid(), pid_started_at=process.started_at(os.getpid()))
    other = store.create("create", {}, title="", user_id="", avatar_id="")
    store.move(other.id, State.RUNNING, pid=os.getppid(), pid_started_at=process.started_at(os.getppid()))
    assert not around(store).views()
    foreign = store.create("train", {"deaf": True}, title="", user_id="", avatar_id="")
    store.move(foreign.id, State.RUNNING, pid=os.getppid(), pid_started_at=process.started_at(os.getppid()))
    assert not around(store).views()
    with yielded(around(store)) as answer:
        assert answer.asked == ()


def test_a_training_on_another_machine_is_not_asked(store: JobStore) -> None:
    carrier = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "-m", CARRIER])
    try:
        job = store.create("train", {}, title="", user_id="", avatar_id="")
        store.move(job.id, State.RUNNING, pid=carrier.pid, pid_started_at=process.started_at(carrier.pid))
        assert not around(store).views()
    finally:
        carrier.kill()
        carrier.wait()


def test_a_guest_stays_while_it_is_busy_and_a_little_longer(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))
    busy = threading.Event()
    busy.set()
    guest = Guest(lambda: around(store), busy.is_set, grace_s=0.5)
    assert guest.come(lambda: True).parked
    time.sleep(0.8)
    assert parkings(folder) == [True]
    busy.clear()
    left = time.monotonic()
    until(lambda: parkings(folder) == [True, False])
    assert time.monotonic() - left >= 0.3


def test_a_guest_who_comes_again_finds_them_parked(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))
    guest = Guest(lambda: around(store), lambda: False, grace_s=0.6)
    guest.come(lambda: True)
    for _ in range(3):
        time.sleep(0.2)
        with within(0.3):
            assert guest.come(lambda: True).parked
    assert parkings(folder) == [True]
    until(lambda: parkings(folder) == [True, False])


def test_between_pictures_that_follow_each_other_they_stay_parked(
    store: JobStore, start: Callable[[str], str]
) -> None:
    folder = store.folder(start("train"))
    guest = Guest(lambda: around(store), lambda: False, grace_s=0.1)
    with guest.staying():
        guest.come(lambda: True)
        time.sleep(0.5)
        assert parkings(folder) == [True]
    until(lambda: parkings(folder) == [True, False])


def test_where_there_is_room_for_both_nobody_parks(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))
    guest = Guest(lambda: around(store), lambda: True)
    assert guest.come(lambda: False).asked == ()
    assert not Control(folder).asked(YIELD) and parkings(folder) == []


def test_a_guest_who_is_alone_looks_for_no_room(store: JobStore) -> None:
    looked: list[bool] = []

    def crowded() -> bool:
        looked.append(True)
        return True

    assert Guest(lambda: around(store), lambda: True).come(crowded).asked == ()
    assert not looked


def test_a_guest_who_gives_up_waits_no_longer(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("train")
    (store.folder(job_id) / "deaf").touch()
    guest = Guest(lambda: around(store), lambda: False, grace_s=0.0)
    with within(2):
        guest.come(lambda: True, timeout_s=20, given_up=lambda: True)
    until(lambda: not asks(store, job_id))


def test_what_precedes_the_leaving_is_done_while_they_are_parked(
    store: JobStore, start: Callable[[str], str]
) -> None:
    folder = store.folder(start("train"))
    seen: list[list[bool]] = []

    def leave() -> bool:
        seen.append(parkings(folder))
        return len(seen) > 1

    Guest(lambda: around(store), lambda: False, grace_s=0.1, before_leaving=leave).come(lambda: True)
    until(lambda: parkings(folder) == [True, False])
    assert seen == [[True], [True]]


def test_a_failure_before_the_leaving_leaves_nobody_parked(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))

    def leave() -> bool:
        raise RuntimeError("no memory")

    Guest(lambda: around(store), lambda: False, grace_s=0.1, before_leaving=leave).come(lambda: True)
    until(lambda: parkings(folder) == [True, False])


def test_a_host_that_cannot_be_looked_at_leaves_nobody_parked(store: JobStore, start: Callable[[str], str]) -> None:
    folder = store.folder(start("train"))

    def busy() -> bool:
        raise RuntimeError("the host is about to end")

    Guest(lambda: around(store), busy, grace_s=0.1).come(lambda: True)
    until(lambda: parkings(folder) == [True, False])


def test_a_wish_that_cannot_be_withdrawn_at_once_is_withdrawn_later(
    store: JobStore, start: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = store.folder(start("train"))
    leave, failed = Control.leave, list[Path]()

    def fails_once(asker: Path) -> None:
        if not failed:
            failed.append(asker)
            raise PermissionError(13, "in use by another program")
        leave(asker)

    monkeypatch.setattr(Control, "leave", staticmethod(fails_once))
    guest = Guest(lambda: around(store), lambda: False, grace_s=0.1)
    guest.come(lambda: True)
    until(lambda: parkings(folder) == [True, False])
    assert failed and not Control(folder).asked(YIELD)


def test_a_job_that_has_ended_can_still_be_deleted(store: JobStore, start: Callable[[str], str]) -> None:
    job_id = start("train")
    with yielded(around(store)):
        with pytest.raises(WrongState):
            store.delete(job_id)
        (store.folder(job_id) / "finish").touch()
    until(lambda: not around(store).views())
    store.move(job_id, State.SUCCEEDED)
    store.delete(job_id)


def test_what_a_process_that_died_told_counts_no_more(store: JobStore, start: Callable[[str], str]) -> None:
    """It was parked when it was killed; whoever goes on with the job is on the card again."""
    job_id = start("train")
    folder = store.folder(job_id)
    with yielded(around(store)):
        process.kill(store.status(job_id).pid, store.status(job_id).pid_started_at)
    assert parkings(folder) == [True]
    again = go_on(store, job_id)
    with yielded(around(store)) as answer:
        assert answer.parked == (job_id,)
        assert parkings(folder)[-1:] == [True] and len(parkings(folder)) > 1
    again.kill()
    again.wait()
