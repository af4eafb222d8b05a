"""The queue with real child processes: how each way of ending is named, and what survives a restart."""
from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from personal_avatar import storage
from personal_avatar.errors import QueueFull, WrongState
from personal_avatar.host import Rules
from personal_avatar.jobs import process, queue, watching
from personal_avatar.jobs.events import read_events
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore, JobView

from tests.unit.jobs.children import PATIENT, QUICK, trainer

LABELS = {"title": "Anna", "user_id": "u1", "avatar_id": "anna"}


class House:
    """A store and a queue over one folder; `again()` is what a restart of the program does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended: list[tuple[str, dict[str, Any]]] = []
        self.body = QUICK
        self.inline: dict[str, Callable[..., dict]] = {}
        self.again()

    def again(self) -> None:
        self.store = JobStore(self.folder / "jobs")
        self.queue = JobQueue(
            self.store, self.inline, lambda: trainer(self.folder / "bin", self.body), self._on_end,
            rules=lambda: Rules(waiting=3),
        )

    def _on_end(self, job: Job, result: dict[str, Any]) -> None:
        self.ended.append((job.id, result))

    def submit(self, body: str = QUICK, kind: str = "train") -> Job:
        self.body = body
        return self.queue.submit(kind, {}, **LABELS)

    def wait(self, job: Job) -> JobView:
        return self.queue.wait(job.id, 20)

    def until(self, test: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not test():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    def running(self, job: Job) -> int:
        """Wait until the child has made steps; its process id."""
        self.until(lambda: self.store.view(job.id).step > 0)
        return self.store.status(job.id).pid or 0


@pytest.fixture()
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    monkeypatch.setattr(queue, "IDLE_S", 0.1)
    house = House(tmp_path)
    yield house
    for job_id in house.store.ids():
        status = house.store.status(job_id)
        process.kill(status.pid, status.pid_started_at)


def test_a_job_that_says_done_succeeds_and_its_result_is_taken_once(house: House) -> None:
    view = house.wait(job := house.submit())
    assert (view.status.state, view.result, view.progress) == (State.SUCCEEDED, {"answer": 42}, 1.0)
    assert house.ended == [(job.id, {"answer": 42})]


def test_a_killed_child_is_named(house: House) -> None:
    pid = house.running(job := house.submit(PATIENT))
    os.kill(pid, signal.SIGKILL)
    view = house.wait(job)
    assert view.status.state is State.FAILED
    assert view.status.error and view.status.error["code"] in ("KILLED", "OUT_OF_MEMORY")
    assert view.status.error["hint"]
    assert not house.ended


def test_a_crash_tells_the_exit_code_and_the_end_of_the_log(house: House) -> None:
    view = house.wait(house.submit("print('the disk is made of cheese', flush=True); sys.exit(3)"))
    assert view.status.error and view.status.error["code"] == "CRASHED"
    assert "exit code 3" in view.status.error["message"]
    assert "made of cheese" in view.status.error["message"]


def test_a_signal_is_named_in_the_crash(house: House) -> None:
    view = house.wait(house.submit("os.abort()"))
    assert view.status.error and "SIGABRT" in view.status.error["message"]


def test_an_interpreter_that_is_missing_fails_the_job_with_a_name(house: House) -> None:
    job = house.submit()
    house.wait(job)
    broken = JobQueue(house.store, {}, lambda: process.TrainerPython(house.folder / "nowhere"), house._on_end)
    view = broken.wait(broken.submit("train", {}, **LABELS).id, 20)
    assert view.status.state is State.FAILED
    assert view.status.error and "nowhere" in view.status.error["message"]


def test_a_named_error_of_the_child_arrives_as_it_was(house: House) -> None:
    view = house.wait(house.submit("emit(Failed({'code': 'NO_FACE', 'message': 'm', 'hint': 'h'})); sys.exit(1)"))
    assert view.status.error == {"code": "NO_FACE", "message": "m", "hint": "h"}


def test_a_queued_job_is_cancelled_at_once(house: House) -> None:
    first = house.submit(PATIENT)
    house.running(first)
    second = house.submit(PATIENT)
    assert house.store.view(second.id).position == 1
    assert house.queue.cancel(second.id).status.state is State.CANCELLED
    house.queue.cancel(first.id)
    assert house.wait(first).status.state is State.CANCELLED
    assert house.store.status(second.id).pid is None


def test_cancelling_keeps_what_was_finished(house: House) -> None:
    house.running(job := house.submit(PATIENT))
    house.queue.cancel(job.id)
    view = house.wait(job)
    assert (view.status.state, view.result) == (State.CANCELLED, {"answer": "half"})
    assert view.status.error and view.status.error["code"] == "CANCELLED"
    assert house.ended == [(job.id, {"answer": "half"})]


def test_cancelling_can_discard(house: House) -> None:
    house.running(job := house.submit(PATIENT))
    house.queue.cancel(job.id, keep_checkpoint=False)
    assert house.wait(job).result is None
    assert not house.ended


def test_a_child_that_ignores_the_cancel_is_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CANCEL_GRACE_S", 0.2)
    house.running(job := house.submit("emit(Progress(1, 2)); time.sleep(60)"))
    house.queue.cancel(job.id)
    assert house.wait(job).status.state is State.CANCELLED


def test_a_job_that_ended_cannot_be_cancelled(house: House) -> None:
    house.wait(job := house.submit())
    with pytest.raises(WrongState, match="succeeded already"):
        house.queue.cancel(job.id)


def test_jobs_of_a_kind_run_one_after_the_other(house: House) -> None:
    house.running(first := house.submit(PATIENT))
    second = house.submit(PATIENT)
    time.sleep(0.2)
    assert house.store.status(second.id).state is State.QUEUED
    for job in (first, second):
        (house.store.folder(job.id) / "finish").touch()
    ends = [house.wait(job).status for job in (first, second)]
    assert [status.state for status in ends] == [State.SUCCEEDED] * 2
    assert (ends[0].ended_at or 0) <= (ends[1].started_at or 0)


def test_kinds_do_not_wait_for_each_other(house: House) -> None:
    house.running(slow := house.submit(PATIENT))
    assert house.wait(house.submit(QUICK, kind="other")).status.state is State.SUCCEEDED
    house.queue.cancel(slow.id)
    house.wait(slow)


def test_the_queue_has_an_end(house: House) -> None:
    house.running(house.submit(PATIENT))
    for _ in range(3):
        house.submit(PATIENT)
    with pytest.raises(QueueFull, match="3 jobs are waiting"):
        house.submit(PATIENT)
    for view in house.store.views():
        house.queue.cancel(view.job.id)
    for view in house.store.views():
        assert house.wait(view.job).status.state is State.CANCELLED


def test_two_queues_never_run_one_job_twice(house: House) -> None:
    other = JobQueue(house.store, {}, lambda: trainer(house.folder / "other", QUICK), house._on_end)
    jobs = [house.submit(QUICK) for _ in range(3)]
    other.recover()
    for job in jobs:
        house.wait(job)
    assert sorted(job_id for job_id, _ in house.ended) == sorted(job.id for job in jobs)
    starts = [record for job in jobs for record in read_events(house.store.folder(job.id))
              if record.event.kind == "started"]
    assert len(starts) == 3


class Abandoned:
    """The store as a program left it that died: its child, and a claim in the name of a process that is gone."""

    def __init__(self, house: House, body: str) -> None:
        house.body = body
        self.job = house.store.create("train", {}, **LABELS)
        folder = house.store.folder(self.job.id)
        (folder / "claim").write_text("999999999 1.0")
        house.store.move(self.job.id, State.RUNNING)
        self.child = process.start(folder, trainer(house.folder / "bin", body))
        house.store.note_process(self.job.id, self.child.pid, process.started_at(self.child.pid))
        self.reaper = threading.Thread(target=self.child.wait, daemon=True)
        self.reaper.start()


def test_after_a_restart_a_surviving_child_is_found_again(house: House) -> None:
    job = Abandoned(house, PATIENT).job
    house.running(job)
    house.again()
    house.queue.recover()
    (house.store.folder(job.id) / "finish").touch()
    view = house.wait(job)
    assert (view.status.state, view.result) == (State.SUCCEEDED, {"answer": "whole"})
    assert house.ended == [(job.id, {"answer": "whole"})]


def test_after_a_restart_a_surviving_child_can_be_cancelled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CANCEL_GRACE_S", 0.2)
    job = Abandoned(house, "emit(Progress(1, 2)); time.sleep(60)").job
    house.running(job)
    house.again()
    house.queue.recover()
    house.queue.cancel(job.id)
    assert house.wait(job).status.state is State.CANCELLED


def test_a_child_that_died_while_nobody_looked_is_named(house: House) -> None:
    abandoned = Abandoned(house, PATIENT)
    house.running(abandoned.job)
    abandoned.child.kill()
    abandoned.reaper.join()
    house.again()
    house.queue.recover()
    view = house.wait(abandoned.job)
    assert view.status.error and view.status.error["code"] in ("KILLED", "OUT_OF_MEMORY")


def test_a_child_that_finished_while_nobody_looked_has_succeeded(house: House) -> None:
    abandoned = Abandoned(house, QUICK)
    abandoned.reaper.join()
    house.again()
    house.queue.recover()
    assert house.wait(abandoned.job).status.state is State.SUCCEEDED


def test_queued_jobs_go_on_after_a_restart(house: House) -> None:
    job = house.store.create("train", {}, **LABELS)
    claim = house.store.folder(job.id) / "claim"
    claim.write_text("")
    os.utime(claim, (1, 1))
    house.again()
    house.queue.recover()
    assert house.wait(job).status.state is State.SUCCEEDED


def test_work_inside_the_program_that_died_with_it_is_named(house: House) -> None:
    house.inline = {"create": lambda *_: {}}
    job = house.store.create("create", {}, **LABELS)
    house.store.move(job.id, State.RUNNING)
    house.again()
    house.queue.recover()
    view = house.wait(job)
    assert view.status.error and view.status.error["message"] == "The program was closed while this job ran."


def test_inline_work_succeeds_and_fails_by_the_same_table(house: House) -> None:
    def work(job: Job, *_: object) -> dict:
        if job.title == "bad":
            raise RuntimeError("no such luck")
        return {"answer": 1}

    house.inline = {"create": work}
    house.again()
    good = house.queue.submit("create", {}, **LABELS)
    bad = house.queue.submit("create", {}, **{**LABELS, "title": "bad"})
    assert house.wait(good).result == {"answer": 1}
    view = house.wait(bad)
    assert view.status.error and "RuntimeError: no such luck" in view.status.error["message"]


@pytest.mark.parametrize("broken_from", [2, 3])
def test_a_full_disk_is_named_and_the_lane_lives_on(
    house: House, monkeypatch: pytest.MonkeyPatch, broken_from: int
) -> None:
    """The writes of a job's status are: running, process id, end. The disk is full from number `broken_from` on."""
    replace, count = os.replace, 0

    def full(source: Path, target: Path) -> None:
        nonlocal count
        if str(target).endswith("status.json") and ".new" not in str(target):
            count += Path(target).exists()
            if count >= broken_from:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr(storage.os, "replace", full)
    job = house.submit()
    view = house.wait(job)
    assert view.status.state is State.FAILED
    assert view.status.error and view.status.error["code"] == "DISK_FULL"
    assert "Free some space" in view.status.error["hint"]
    monkeypatch.setattr(storage.os, "replace", replace)
    assert house.wait(house.submit()).status.state is State.SUCCEEDED


def test_a_claim_that_cannot_be_written_is_not_left_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job = house.store.create("train", {}, **LABELS)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(OSError, match="No space"):
        house.store.claim(job.id)
    monkeypatch.undo()
    assert house.store.claim(job.id)


def test_a_lane_with_nothing_to_do_ends_and_begins_anew(house: House) -> None:
    for _ in range(3):
        assert house.wait(house.submit()).status.state is State.SUCCEEDED
        house.until(lambda: not house.queue._lanes)


def test_run_here_waits_for_the_end(house: House) -> None:
    job = house.store.create("train", {}, **LABELS)
    assert house.queue.run_here(job).status.state is State.SUCCEEDED
