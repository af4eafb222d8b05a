"""The queue with real child processes: how each way of ending is named, and what survives a restart."""
from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from personal_avatar import storage
from personal_avatar.errors import AvatarError, QueueFull, SelfTestFailed, WrongState
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs import endings, process, watching, working
from personal_avatar.jobs.events import read_events
from personal_avatar.jobs.executors import Executor
from personal_avatar.jobs.kept import LOG_FILE
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobView

from tests.unit.jobs.children import PATIENT, QUICK, SILENT, trainer
from tests.unit.jobs.queue_house import LABELS, Abandoned, House

pytestmark = pytest.mark.slow  # starts child processes


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
    house.until(lambda: not house.queue._lanes)  # or it takes the next one, too, with its own interpreter
    broken = JobQueue(house.store, {}, lambda: process.TrainerPython(house.folder / "nowhere"), house._on_end)
    view = broken.wait(broken.submit("train", {}, **LABELS).id, 20)
    assert view.status.state is State.FAILED
    assert view.status.error and view.status.error["code"] == "TRAINER_MISSING"
    assert "nowhere" in view.status.error["message"]


def test_a_package_that_is_missing_is_the_environments_fault(house: House, tmp_path: Path) -> None:
    def bare() -> TrainerPython:
        return TrainerPython(Path(sys.executable), (("PYTHONPATH", str(tmp_path)),))

    broken = JobQueue(house.store, {}, bare, house._on_end, executor=lambda: Executor("none", "no_such_package"))
    view = broken.wait(broken.submit("train", {}, **LABELS).id, 20)
    assert view.status.error and view.status.error["code"] == "TRAINER_MISSING"
    assert "no_such_package" in view.status.error["message"]


@pytest.mark.parametrize("torn", ["", '{"at": 1, "kind": "do', "garbage\n\x00\n", '{"at": 1, "kind": "done"'])
def test_torn_last_words_are_none(house: House, torn: str) -> None:
    view = house.wait(house.submit(f"open('events.jsonl', 'a').write({torn!r}); print('so it goes'); sys.exit(5)"))
    assert view.status.error and view.status.error["code"] == "CRASHED"
    assert "exit code 5" in view.status.error["message"] and "so it goes" in view.status.error["message"]


@pytest.mark.parametrize(("said", "code"), [
    ("Error out of memory at line 380 in file /src/csrc/pythonInterface.cpp", "OUT_OF_VRAM"),
    ("Error: no such thing\nWe never run out of memory", "CRASHED"),
])
def test_a_card_that_was_too_small_for_native_code_is_named(said: str, code: str, tmp_path: Path) -> None:
    (tmp_path / LOG_FILE).write_text(f"step 7\n{said}\n")
    ended = endings.outcome(tmp_path, 1, 0)
    assert isinstance(ended, AvatarError) and ended.code == code


def test_what_the_system_killed_for_memory_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter(range(100))
    monkeypatch.setattr(endings, "oom_kills", lambda: next(counts))
    view = house.wait(house.submit("os.kill(os.getpid(), 9)"))
    assert view.status.error and view.status.error["code"] == "OUT_OF_MEMORY"


def test_exit_status_137_of_a_container_is_a_kill(house: House) -> None:
    view = house.wait(house.submit("sys.exit(137)"))
    assert view.status.error and view.status.error["code"] in ("KILLED", "OUT_OF_MEMORY")


def test_a_segmentation_fault_is_named(house: House) -> None:
    view = house.wait(house.submit("os.kill(os.getpid(), signal.SIGSEGV)"))
    assert view.status.error and "SIGSEGV" in view.status.error["message"]


def test_nothing_that_a_child_started_outlives_it(house: House) -> None:
    body = ("import subprocess; one = subprocess.Popen(['sleep', '300']); "
            "(folder / 'grandchild').write_text(str(one.pid)); os.kill(os.getpid(), 9)")
    house.wait(job := house.submit(body))
    pid = int((house.store.folder(job.id) / "grandchild").read_text())
    house.until(lambda: not process.alive(pid))


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


def test_a_cancelled_job_stays_cancelled_where_what_it_kept_is_of_no_use(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(job: Job, result: dict[str, Any]) -> None:
        raise SelfTestFailed("a.safetensors changes nothing.")

    monkeypatch.setattr(house, "_on_end", refuse)
    house.again()
    house.running(job := house.submit(PATIENT))
    house.queue.cancel(job.id)
    status = house.wait(job).status
    assert status.state is State.CANCELLED
    assert status.error and "a.safetensors changes nothing." in status.error["hint"]


def test_cancelling_can_discard(house: House) -> None:
    house.running(job := house.submit(PATIENT))
    house.queue.cancel(job.id, keep_checkpoint=False)
    assert house.wait(job).result is None
    assert not house.ended


def test_a_child_that_ignores_the_cancel_is_ended(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CANCEL_GRACE_S", 0.2)
    house.running(job := house.submit(SILENT))
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


def test_one_user_cannot_fill_the_queue(house: House) -> None:
    house.rules = Rules(waiting=9, waiting_of_one=2)
    house.running(first := house.submit(PATIENT))
    waiting = [house.submit(PATIENT) for _ in range(2)]
    with pytest.raises(QueueFull, match="2 jobs of u1 are waiting"):
        house.submit(PATIENT)
    other = house.queue.submit("train", {}, **{**LABELS, "user_id": "u2"})
    for job in (*waiting, other, first):
        house.queue.cancel(job.id)
    assert house.wait(first).status.state is State.CANCELLED


def test_as_many_jobs_of_a_kind_run_as_the_place_has_room_for(house: House) -> None:
    house.width, house.body = 2, PATIENT
    house.again()
    jobs = [house.queue.submit("train", {}, **{**LABELS, "avatar_id": name}) for name in ("a", "b", "c")]
    house.until(lambda: house.store.count(states=[State.RUNNING]) == 2)
    time.sleep(0.3)
    assert [house.store.status(job.id).state for job in jobs].count(State.QUEUED) == 1
    for job in jobs:
        (house.store.folder(job.id) / "finish").touch()
    assert {house.wait(job).status.state for job in jobs} == {State.SUCCEEDED}


def test_two_trainings_of_one_avatar_never_run_together(house: House) -> None:
    house.width = 2
    house.again()
    house.running(first := house.submit(PATIENT))
    second = house.submit(PATIENT)
    time.sleep(0.3)
    assert house.store.status(second.id).state is State.QUEUED
    for job in (first, second):
        house.queue.cancel(job.id)
    assert house.wait(first).status.state is State.CANCELLED


def test_kinds_that_wait_in_one_line_are_taken_in_its_order(house: House) -> None:
    house.together, house.body, house.rules = ("train", "measure"), PATIENT, Rules(waiting=9)
    house.again()
    kinds = ("train", "measure", "train", "measure")
    jobs = [house.queue.submit(kind, {}, **{**LABELS, "avatar_id": str(place)}) for place, kind in enumerate(kinds)]
    house.until(lambda: house.store.status(jobs[0].id).state is State.RUNNING)
    assert [house.store.view(job.id).position for job in jobs] == [0, 1, 2, 3]
    house.queue.prioritise(jobs[3].id)
    assert [house.store.view(job.id).position for job in jobs] == [0, 2, 3, 1]
    for turn in (0, 3, 1, 2):
        house.until(lambda turn=turn: house.store.status(jobs[turn].id).state is State.RUNNING)
        assert house.store.count(states=[State.RUNNING]) <= 1
        (house.store.folder(jobs[turn].id) / "finish").touch()
        house.wait(jobs[turn])
    assert [name for name, _ in house.ended] == [jobs[turn].id for turn in (0, 3, 1, 2)]


def test_one_that_waits_for_its_avatar_holds_nobody_else_up(house: House) -> None:
    house.together, house.body, house.width = ("train", "measure"), PATIENT, 2
    house.again()
    jobs = [house.queue.submit(kind, {}, **{**LABELS, "avatar_id": avatar})
            for kind, avatar in (("train", "a"), ("measure", "a"), ("train", "b"))]
    house.until(lambda: house.store.count(states=[State.RUNNING]) == 2)
    assert [house.store.status(job.id).state for job in jobs] == [State.RUNNING, State.QUEUED, State.RUNNING]
    for job in jobs:
        (house.store.folder(job.id) / "finish").touch()
    assert {house.wait(job).status.state for job in jobs} == {State.SUCCEEDED}


def test_whoever_listens_hears_of_each_end_once(house: House) -> None:
    heard: list[tuple[str, State]] = []

    def deaf(view: JobView) -> None:
        raise RuntimeError("not listening")

    house.queue.listen(deaf)
    house.queue.listen(lambda view: heard.append((view.job.id, view.status.state)))
    done = house.submit()
    house.wait(done)
    failed = house.submit("sys.exit(3)")
    house.wait(failed)
    house.running(first := house.submit(PATIENT))
    waiting = house.submit(PATIENT)
    for job in (waiting, first):
        house.queue.cancel(job.id)
    house.wait(first)
    house.until(lambda: len(heard) == 4)
    assert heard == [(done.id, State.SUCCEEDED), (failed.id, State.FAILED), (waiting.id, State.CANCELLED),
                     (first.id, State.CANCELLED)]


def test_a_disk_without_room_is_named_before_the_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "SPARE_BYTES", 2**60)
    view = house.wait(job := house.submit())
    assert view.status.error and view.status.error["code"] == "DISK_FULL"
    assert house.store.status(job.id).pid is None


def test_a_lane_outlives_what_nobody_expected(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store fails when the job is begun and when its end is written: the next job runs all the same."""
    struck: list[str] = []

    def broken(name: str) -> Callable[..., None]:
        works = getattr(house.store, name)

        def once(*told: Any, **more: Any) -> None:
            if name in struck:
                return works(*told, **more)
            struck.append(name)
            raise RuntimeError("the store is broken")

        return once

    for name in ("move", "fail"):
        monkeypatch.setattr(house.store, name, broken(name))
    first = house.submit()
    assert house.wait(first).status.state is State.SUCCEEDED
    assert house.wait(house.submit()).status.state is State.SUCCEEDED
    assert struck == ["move", "fail"]


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
    job = Abandoned(house, SILENT).job
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
    if broken_from == 3:
        house.queue.resume(job.id)
        assert house.wait(job).status.state is State.SUCCEEDED
        starts = [one for one in read_events(house.store.folder(job.id)) if one.event.kind == "started"]
        assert len(starts) == 1


def test_a_claim_that_cannot_be_written_is_not_left_behind(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    job = house.store.create("train", {}, **LABELS)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
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


def test_who_cancels_a_waiting_job_begins_no_other(house: House) -> None:
    first, other = (house.store.create("train", {}, **LABELS) for _ in range(2))
    assert house.queue.cancel(first.id).status.state is State.CANCELLED
    assert not house.queue._lanes
    assert house.store.status(other.id).state is State.QUEUED
