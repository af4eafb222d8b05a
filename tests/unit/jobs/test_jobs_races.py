"""What comes in the wrong moment: wishes while a job is brought to rest, systems without files, other programs."""
from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from personal_avatar.errors import DiskFull, QueueFull
from personal_avatar.host import Rules
from personal_avatar.jobs import endings, process, queue, watching
from personal_avatar.jobs.control import AWAITED, Control
from personal_avatar.jobs.events import EventWriter, Log, Started, failure, read_events
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.jobs.lanes import Lanes, Taken
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job
from personal_avatar.wording import text

from tests.unit.jobs.children import PATIENT, QUICK, SILENT, trainer
from tests.unit.jobs.queue_house import LABELS, Abandoned, House

NO_FILES = OSError(errno.EMFILE, "Too many open files")
NOBODY = 2**22 - 1


def pausing(house: House) -> House:
    house.pausable = ("train",)
    house.again()
    return house


def paused(house: House) -> Job:
    house.running(job := house.submit(PATIENT))
    house.queue.pause(job.id)
    assert house.wait(job).status.state is State.PAUSED
    return job


# -- a look that fails


@pytest.mark.slow
def test_a_look_that_fails_is_not_the_end_of_a_job(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = house.running(job := house.submit(PATIENT))
    looks: list[Path] = []

    def fails(folder: Path) -> bool:
        looks.append(folder)
        raise NO_FILES

    with monkeypatch.context() as patch:
        patch.setattr(endings, "is_there", fails)
        house.until(lambda: len(looks) > 3)
    assert house.store.status(job.id).state is State.RUNNING and process.alive(pid)
    assert house.finished(job) is State.SUCCEEDED and house.starts(job) == 1


@pytest.mark.slow
def test_whoever_cannot_look_after_a_process_ends_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = house.running(job := house.submit(SILENT))

    def fails(watch: watching.Watch) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(watching.Watch, "look", fails)
    assert house.wait(job).status.state is State.FAILED and not process.alive(pid)


@pytest.mark.slow
def test_no_second_process_is_started_while_one_is_at_work(house: House) -> None:
    job = house.store.create("train", {}, **LABELS)
    child = process.start(house.store.folder(job.id), trainer(house.folder / "bin", PATIENT))
    threading.Thread(target=child.wait, daemon=True).start()
    house.running(job)
    house.body = PATIENT
    house.queue.recover()
    house.until(lambda: house.store.status(job.id).pid == child.pid)
    assert house.finished(job) is State.SUCCEEDED and house.starts(job) == 1


def test_a_process_that_cannot_be_looked_at_is_taken_for_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(pid: int) -> psutil.Process:
        raise NO_FILES

    monkeypatch.setattr(psutil, "Process", fails)
    assert process.alive(os.getpid(), 1.0) and not process.alive(NOBODY, 1.0)


# -- wishes


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "end"), [("cancel", State.CANCELLED), ("resume", State.SUCCEEDED)])
def test_a_wish_that_comes_while_the_pause_is_written_is_heard(
    house: House, monkeypatch: pytest.MonkeyPatch, wish: str, end: State
) -> None:
    pausing(house).running(job := house.submit(PATIENT))
    move, came = house.store.move, threading.Event()

    def slow(job_id: str, state: State, **changes: Any) -> Any:
        if state is State.PAUSED and not came.is_set():
            came.set()
            getattr(house.queue, wish)(job_id)
        return move(job_id, state, **changes)

    monkeypatch.setattr(house.store, "move", slow)
    house.queue.pause(job.id)
    assert came.wait(20)
    (house.store.folder(job.id) / "finish").touch()
    house.until(lambda: house.store.status(job.id).state is end)


@pytest.mark.slow
def test_what_is_resumed_finds_no_place_in_a_full_queue(house: House) -> None:
    job = paused(pausing(house))
    house.rules = Rules(waiting=0)
    with pytest.raises(QueueFull):
        house.queue.resume(job.id)
    assert house.store.status(job.id).state is State.PAUSED
    house.rules = Rules(waiting_of_one=0)
    with pytest.raises(QueueFull, match="u1"):
        house.queue.resume(job.id)
    assert house.store.claim(job.id)


# -- other programs


def named(house: House, host: str, ran: list[str]) -> House:
    def work(job: Job, *_: object) -> dict:
        ran.append(host)
        return {}

    house.inline, house.host = {"create": work}, host
    house.again()
    return house


def test_work_within_a_program_is_left_to_the_one_that_accepted_it(house: House) -> None:
    ran: list[str] = []
    named(house, "webui", ran).queue._serves = False
    job = house.queue.submit("create", {}, **LABELS)
    other = named(House(house.folder), "standalone", ran)
    other.queue.recover()
    time.sleep(0.3)
    assert other.store.status(job.id).state is State.QUEUED and not other.queue._lanes
    named(house, "webui", ran).queue.recover()
    assert house.wait(job).status.state is State.SUCCEEDED and ran == ["webui"]
    left = house.store.create("create", {}, **LABELS, host="gone")
    assert other.queue.cancel(left.id).status.state is State.CANCELLED


@pytest.mark.slow
def test_a_program_that_serves_nobody_runs_only_what_it_is_given(house: House) -> None:
    house.serves = False
    house.again()
    job, mine = (house.queue.submit("train", {}, **{**LABELS, "avatar_id": name}) for name in "ab")
    assert house.queue.run_here(mine).status.state is State.SUCCEEDED
    assert house.store.status(job.id).state is State.QUEUED and not house.queue._lanes


@pytest.mark.slow
def test_what_programs_left_that_are_gone_is_settled_but_what_runs_is_left_alone(house: House) -> None:
    house.serves = False
    house.again()
    lives = Abandoned(house, PATIENT)
    house.running(lives.job)
    died = Abandoned(house, PATIENT)
    house.running(died.job)
    died.child.kill()
    died.reaper.join()
    house.queue.settle()
    assert house.store.status(died.job.id).state is State.FAILED
    assert house.store.status(lives.job.id).state is State.RUNNING
    lives.child.kill()


@pytest.mark.slow
def test_what_another_program_put_back_into_the_queue_meanwhile_is_not_begun(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = House(house.folder)
    for program in (house, other):
        program.serves, program.pausable = False, ("train",)
        program.again()
    left = Abandoned(house, PATIENT)
    house.running(left.job)
    left.child.kill()
    left.reaper.join()
    look = process.child_of

    def look_slowly(folder: Path) -> int | None:
        found = look(folder)
        monkeypatch.setattr(process, "child_of", look)
        other.queue.settle()
        return found

    monkeypatch.setattr(process, "child_of", look_slowly)
    house.body = QUICK
    house.queue.settle()
    status = house.store.status(left.job.id)
    assert (status.state, status.restarts) == (State.QUEUED, 1)
    assert not house.store.is_claimed(left.job.id)


@pytest.mark.slow
def test_a_command_waits_until_there_is_room_and_says_so_once(house: House) -> None:
    house.running(first := house.submit(PATIENT))
    other = House(house.folder)
    second = other.store.create("train", {}, **LABELS)
    other.body = PATIENT
    runs = threading.Thread(target=other.queue.run_here, args=(second,), daemon=True)
    runs.start()
    house.until(lambda: list(read_events(other.store.folder(second.id))))
    time.sleep(0.2)
    told = [record.event for record in read_events(other.store.folder(second.id))]
    assert told == [Log(text("log.no_room"))] and other.store.status(second.id).state is State.QUEUED
    assert house.finished(first) is State.SUCCEEDED
    assert other.finished(second) is State.SUCCEEDED
    runs.join(20)


@pytest.mark.slow
def test_a_command_that_waits_begins_when_the_training_before_it_dies_with_its_program(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Abandoned(house, PATIENT)
    house.running(before.job)
    programs = [House(house.folder) for _ in range(2)]
    for program in programs:
        program.serves = False
        program.again()
    waiting, third = programs
    job = waiting.store.create("train", {}, **LABELS)
    runs = threading.Thread(target=waiting.queue.run_here, args=(job,), daemon=True)
    runs.start()
    house.until(lambda: list(read_events(waiting.store.folder(job.id))))
    with monkeypatch.context() as patch:
        patch.setattr(queue, "IDLE_S", -1.0)  # others have had their time
        assert not third.queue.waits_in_vain(third.store.view(job.id)), "its own program waits for room"
    assert third.store.status(before.job.id).state is State.RUNNING, "its process lives"
    before.child.kill()
    assert third.finished(job) is State.SUCCEEDED
    assert third.store.status(before.job.id).state is State.FAILED
    runs.join(20)
    assert not Control(third.store.folder(job.id)).asked(AWAITED), "nobody waits any more"


@pytest.mark.slow
def test_a_command_goes_on_waiting_where_what_others_left_cannot_be_settled(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.running(first := house.submit(PATIENT))
    other = House(house.folder)
    job = other.store.create("train", {}, **LABELS)

    def refuse(*_: object) -> None:
        raise PermissionError("another user's folder")

    monkeypatch.setattr(queue, "IDLE_S", 0.05)
    monkeypatch.setattr(queue.left, "settle", refuse)
    other.body = QUICK
    runs = threading.Thread(target=other.queue.run_here, args=(job,), daemon=True)
    runs.start()
    house.until(lambda: "another user's folder" in caplog.text)
    assert runs.is_alive()
    assert house.finished(first) is State.SUCCEEDED
    assert other.finished(job) is State.SUCCEEDED
    runs.join(20)


@pytest.mark.slow
def test_the_last_word_of_an_earlier_start_is_not_believed(house: House) -> None:
    """The child of a job that was taken up again is gone before it said anything, and so is its program."""
    pausing(house)
    job = house.store.create("train", {}, **LABELS)
    folder = house.store.folder(job.id)
    emit = EventWriter(folder)
    emit(Started(1))
    emit(failure(DiskFull("old trouble")))
    (folder / "state").mkdir()
    (folder / "state" / "complete.json").write_text("{}")
    house.store.move(job.id, State.RUNNING)
    house.store.note_process(job.id, NOBODY, 1.0)
    house.queue.recover()
    assert house.wait(job).status.state is State.SUCCEEDED
    assert house.store.status(job.id).restarts == 1


class Interrupted:
    """A file that is open for reading; after a look at its end, somebody else appends to it."""

    def __init__(self, file: Any, path: Path, rest: str) -> None:
        self._file, self._path, self._rest = file, path, rest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def read(self, size: int) -> bytes:
        found = self._file.read(size)
        with open(self._path, "a") as other:
            other.write(self._rest)
        return found


def test_two_who_write_cut_nothing_of_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half, rest = '{"at": 1, "kind": "log", "mess', 'age": "b"}\n'
    (tmp_path / EVENTS_FILE).write_text(half)
    real: Callable[..., Any] = Path.open

    @contextmanager
    def interrupted(path: Path, mode: str = "r", *more: Any, **named: Any) -> Iterator[Any]:
        with real(path, mode, *more, **named) as file:
            yield Interrupted(file, path, rest) if mode.startswith("rb") else file

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", interrupted)
        writer = EventWriter(tmp_path)
    writer(Log("c"))
    assert [record.event for record in read_events(tmp_path)] == [Log("b"), Log("c")]


def test_only_what_is_of_the_job_is_swept_away(tmp_path: Path) -> None:
    """Whoever has the number of a process that is long gone is left alone."""
    def leader(**environment: str) -> tuple[int, int]:
        started = subprocess.run(
            ["sh", "-c", "sleep 60 >/dev/null & echo $$ $!"], start_new_session=True, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment}, check=True,
        )
        pid, other = started.stdout.split()
        return int(pid), int(other)

    strange, mine = leader(), leader(**{process.FOLDER_VARIABLE: str(tmp_path)})
    try:
        for session, _ in (strange, mine):
            process.sweep(session, tmp_path)
        end = time.monotonic() + 20
        while process.alive(mine[1]) and time.monotonic() < end:
            time.sleep(0.02)
        assert process.alive(strange[1]) and not process.alive(mine[1])
    finally:
        process.kill(strange[1], None)


# -- lanes, and what comes before a start


def test_a_lane_that_takes_for_long_keeps_nobody_waiting() -> None:
    taking, go_on, looks = threading.Event(), threading.Event(), []

    def take(kind: str) -> Taken:
        looks.append(kind)
        taking.set()
        go_on.wait(20)
        return Taken(None, False)

    lanes = Lanes(take, lambda job: None, lambda kind: 1, lambda: 20.0)
    lanes.start("train")
    assert taking.wait(20)
    other = threading.Thread(target=lanes.start, args=("train",), daemon=True)
    other.start()
    other.join(5)
    assert not other.is_alive()
    go_on.set()
    end = time.monotonic() + 20
    while lanes and time.monotonic() < end:
        time.sleep(0.01)
    assert not lanes and len(looks) == 2  # what came meanwhile was looked for


@pytest.mark.slow
def test_room_is_made_before_each_start_and_the_rest_is_prepared_once(house: House) -> None:
    job = paused(pausing(house))
    house.queue.resume(job.id)
    assert house.finished(job) is State.SUCCEEDED
    assert house.started == ["prepared", "room", "room"]


def test_what_a_start_waits_for_is_told_once_and_can_be_cancelled(house: House) -> None:
    house.waits_for = "the room is taken"
    job = house.submit()

    def told() -> list[str]:
        read = [one.event for one in read_events(house.store.folder(job.id))]
        return [event.message for event in read if isinstance(event, Log)]

    house.until(told)
    time.sleep(0.1)
    assert told() == ["the room is taken"]
    house.queue.cancel(job.id)
    assert house.finished(job) is State.CANCELLED
    again = house.submit()
    house.until(lambda: house.started.count("room") == 2)
    house.waits_for = ""
    assert house.finished(again) is State.SUCCEEDED


@pytest.mark.slow
def test_a_failure_that_the_work_named_comes_with_the_end_of_the_log(house: House) -> None:
    view = house.wait(house.submit(
        "print('made of cheese', flush=True); emit(Failed({'code': 'NAN_LOSS', 'message': 'm', 'hint': 'h'})); "
        "sys.exit(1)"
    ))
    error = view.status.error
    assert error == {"code": "NAN_LOSS", "message": "m", "hint": "h", "details": {"log": "made of cheese"}}
