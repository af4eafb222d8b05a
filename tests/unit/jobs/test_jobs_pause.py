"""Pause, resume, cancel of what rests, and going on after a crash: with real children that keep their step."""
from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from personal_avatar.errors import BaseNotFound, WrongState
from personal_avatar.host import Rules, TrainerPython
from personal_avatar.jobs import endings, kept, process, watching
from personal_avatar.jobs.control import CANCEL, PAUSE, Control
from personal_avatar.jobs.events import Log, read_events
from personal_avatar.jobs.means import Waiting
from personal_avatar.jobs.queue import JobQueue
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job
from personal_avatar.wording import text

from tests.unit.jobs.children import PATIENT, QUICK, SILENT
from tests.unit.jobs.queue_house import LABELS, Abandoned, House

pytestmark = pytest.mark.slow  # starts child processes

# Leaves its state and dies, as often as it is started.
FRAIL = """
state.parent.mkdir(exist_ok=True)
state.write_text(json.dumps({"step": 1}))
emit(Progress(1, 2))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture()
def house(house: House) -> House:
    house.pausable = ("train",)
    house.again()
    return house


def state_of(house: House, job: Job) -> Path:
    return house.store.folder(job.id) / kept.STATE_FOLDER


def told(house: House, job: Job) -> list[str]:
    return [one.event.message for one in read_events(house.store.folder(job.id)) if isinstance(one.event, Log)]


def paused(house: House, body: str = PATIENT) -> Job:
    house.running(job := house.submit(body))
    house.queue.pause(job.id)
    assert house.wait(job).status.state is State.PAUSED
    return job


def test_a_paused_job_rests_and_goes_on_where_it_stopped(house: House) -> None:
    job = paused(house)
    step = json.loads((state_of(house, job) / kept.STATE_COMPLETE).read_text())["step"]
    assert house.store.status(job.id).pid is None and house.store.view(job.id).step == step
    time.sleep(0.3)
    assert house.store.status(job.id).state is State.PAUSED
    assert house.queue.resume(job.id).status.state in (State.QUEUED, State.RUNNING)
    house.until(lambda: told(house, job) == [f"from step {step}"])
    assert house.finished(job) is State.SUCCEEDED
    assert house.ended == [(job.id, {"answer": "whole"})]
    assert not state_of(house, job).exists()


def test_a_paused_job_lets_others_run(house: House) -> None:
    paused(house)
    assert house.wait(house.submit(QUICK)).status.state is State.SUCCEEDED


def test_a_job_that_waits_is_paused_at_once(house: House) -> None:
    house.running(first := house.submit(PATIENT))
    second = house.submit(PATIENT)
    assert house.queue.pause(second.id).status.state is State.PAUSED
    assert house.finished(first) is State.SUCCEEDED
    time.sleep(0.3)
    assert house.store.status(second.id).state is State.PAUSED
    house.queue.resume(second.id)
    assert house.finished(second) is State.SUCCEEDED


def test_a_pause_can_be_taken_back_before_it_is_heeded(house: House) -> None:
    house.running(job := house.submit(SILENT))
    house.queue.pause(job.id)
    house.queue.resume(job.id)
    assert not Control(house.store.folder(job.id)).asked(PAUSE)
    with pytest.raises(WrongState, match="running"):
        house.queue.resume(job.id)


def test_a_pause_that_was_taken_back_too_late_is_made_good(house: House) -> None:
    """The child has stopped already when the wish is withdrawn."""
    house.running(job := house.submit("emit(Progress(1, 2))\nwhile not control.asked(PAUSE): time.sleep(0.01)\n"
                                      "while control.asked(PAUSE): time.sleep(0.01)\nemit(Paused(1))"))
    house.queue.pause(job.id)
    house.body = PATIENT
    time.sleep(0.1)
    house.queue.resume(job.id)
    house.until(lambda: house.starts(job) == 2)
    house.queue.pause(job.id)
    assert house.wait(job).status.state is State.PAUSED


def test_what_cannot_be_paused_says_so_and_changes_nothing(house: House) -> None:
    house.running(other := house.submit(PATIENT, kind="caption"))
    with pytest.raises(WrongState, match="cannot be paused"):
        house.queue.pause(other.id)
    house.queue.cancel(other.id)
    assert house.wait(other).status.state is State.CANCELLED
    with pytest.raises(WrongState, match="cancelled"):
        house.queue.pause(other.id)
    job = paused(house)
    with pytest.raises(WrongState, match="paused"):
        house.queue.pause(job.id)
    house.running(ending := house.submit(SILENT))
    house.queue.cancel(ending.id)
    with pytest.raises(WrongState, match="being cancelled"):
        house.queue.pause(ending.id)


@pytest.mark.parametrize("body", [QUICK, "sys.exit(3)"])
def test_what_has_ended_and_left_nothing_cannot_be_resumed(house: House, body: str) -> None:
    house.wait(job := house.submit(body))
    before = house.store.status(job.id)
    with pytest.raises(WrongState):
        house.queue.resume(job.id)
    assert house.store.status(job.id) == before and house.store.claim(job.id)


def test_cancelling_a_paused_job_keeps_the_best_it_has(house: House) -> None:
    job = paused(house)
    house.queue.cancel(job.id)
    view = house.wait(job)
    assert (view.status.state, view.result, house.ended) == (State.CANCELLED, {"answer": "half"},
                                                           [(job.id, {"answer": "half"})])
    assert not state_of(house, job).exists() and house.starts(job) == 2


def test_a_job_that_is_taken_up_without_its_base_asks_for_it_and_goes_on_when_it_is_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(job: Job, waiting: Waiting) -> None:
        raise BaseNotFound("It is gone.")

    job = paused(house)
    with monkeypatch.context() as patch:
        patch.setattr(house, "_make_room", lacking)
        house.again()
        new = house.submit()
        house.queue.resume(job.id)
        errors = [house.wait(one).status.error for one in (job, new)]
    assert [error and error["code"] for error in errors] == ["BASE_NOT_FOUND"] * 2
    hints = [text("error.BASE_NOT_FOUND.back"), text("error.BASE_NOT_FOUND.hint")]
    assert [error and error["hint"] for error in errors] == hints
    house.body = PATIENT
    house.again()
    house.queue.resume(job.id)
    assert house.finished(job) is State.SUCCEEDED


def test_cancelling_a_paused_job_can_discard(house: House) -> None:
    job = paused(house)
    saved, shown = (house.store.folder(job.id) / "artifacts" / name for name in ("a.safetensors", "samples/a.png"))
    for file in (saved, shown):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    view = house.queue.cancel(job.id, keep_checkpoint=False)
    assert (view.status.state, view.result, house.starts(job)) == (State.CANCELLED, None, 1)
    assert shown.exists() and not saved.exists()
    assert not state_of(house, job).exists() and house.ended == []


def test_a_job_that_dies_goes_on_from_its_state(house: House) -> None:
    pid = house.running(job := house.submit(PATIENT))
    os.kill(pid, signal.SIGKILL)
    house.until(lambda: house.starts(job) == 2)
    assert house.finished(job) is State.SUCCEEDED
    assert house.store.status(job.id).restarts == 1
    assert "ended from outside" in told(house, job)[0] and "attempt 1 of 2" in told(house, job)[0]


def test_it_does_so_only_so_often_and_then_says_why(house: House) -> None:
    house.wait(job := house.submit(FRAIL))
    status = house.store.status(job.id)
    assert (status.state, status.restarts, house.starts(job)) == (State.FAILED, 2, 3)
    assert status.error and status.error["code"] in ("KILLED", "OUT_OF_MEMORY")
    assert status.error["hint"].startswith("Resume the job") or status.error["code"] != "KILLED"
    assert house.queue.can_go_on(house.store.view(job.id))
    house.body = "emit(Done({'answer': state.exists()}))"
    house.queue.resume(job.id)
    assert house.wait(job).result == {"answer": True}
    assert house.store.status(job.id).error is None


@pytest.mark.parametrize("rules, body", [
    (Rules(restarts=0), FRAIL),
    (Rules(), FRAIL.replace("state.write_text", "(state.parent / 'weights').write_text")),
    (Rules(), FRAIL.replace('json.dumps({"step": 1})', '"{torn"')),
    (Rules(), FRAIL.replace("os.kill(", "emit(Failed({'code': 'NAN_LOSS', 'message': 'm', 'hint': 'h'}))\nos.kill(")),
])
def test_it_does_not_without_leave_a_whole_state_or_an_accident(house: House, rules: Rules, body: str) -> None:
    house.rules = rules
    house.wait(job := house.submit(body))
    status = house.store.status(job.id)
    assert (status.state, status.restarts, house.starts(job)) == (State.FAILED, 0, 1)
    can = house.queue.can_go_on(house.store.view(job.id))
    assert can == endings.has_state(house.store.folder(job.id))
    if status.error and status.error["code"] == "KILLED":
        assert status.error["hint"].startswith("Resume the job" if can else "Start the job again")


def test_a_job_that_dies_while_a_pause_is_wanted_rests(house: House) -> None:
    pid = house.running(job := house.submit(PATIENT))
    os.kill(pid, signal.SIGSTOP)
    Control(house.store.folder(job.id)).ask(PAUSE)
    os.kill(pid, signal.SIGKILL)
    assert house.wait(job).status.state is State.PAUSED


def test_a_pause_that_nobody_asked_for_is_not_the_end(house: House) -> None:
    """The machine is shut down, and everybody is asked to stop."""
    house.running(job := house.submit("if state.exists(): emit(Done({'answer': 'whole'})); sys.exit(0)\n" +
                                      FRAIL.replace("os.kill(os.getpid(), signal.SIGKILL)", "emit(Paused(1))")))
    assert house.wait(job).status.state is State.SUCCEEDED
    assert house.store.status(job.id).restarts == 0


def test_after_a_restart_of_the_machine_a_job_without_a_state_begins_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandoned = Abandoned(house, SILENT)
    house.running(abandoned.job)
    abandoned.child.kill()
    abandoned.reaper.join()
    monkeypatch.setattr(process, "_boot", lambda: 1 << 19)
    house.body = QUICK
    house.again()
    house.queue.recover()
    assert house.wait(abandoned.job).status.state is State.SUCCEEDED
    assert told(house, abandoned.job) == ["The machine was restarted while the job ran; it goes on."]


def test_a_job_that_was_paused_when_the_program_died_stays_paused(house: House) -> None:
    abandoned = Abandoned(house, PATIENT)
    house.running(abandoned.job)
    Control(house.store.folder(abandoned.job.id)).ask(PAUSE)
    abandoned.reaper.join()
    house.again()
    house.queue.recover()
    assert house.wait(abandoned.job).status.state is State.PAUSED


def test_a_halted_child_is_told_of_and_can_be_cancelled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "LOOK_S", 0.05)
    pid = house.running(job := house.submit(PATIENT))
    os.kill(pid, signal.SIGSTOP)
    house.until(lambda: told(house, job) == [text("log.halted")])
    os.kill(pid, signal.SIGCONT)
    house.until(lambda: told(house, job) == [text("log.halted"), text("log.on_again")])
    os.kill(pid, signal.SIGSTOP)
    house.queue.cancel(job.id)
    view = house.wait(job)
    assert (view.status.state, view.result) == (State.CANCELLED, {"answer": "half"})


def test_a_child_that_says_nothing_for_long_is_told_of_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.running(job := house.submit(SILENT))
    monkeypatch.setattr(watching, "SILENT_S", 0.1)
    house.until(lambda: told(house, job))
    time.sleep(0.5)
    assert len(told(house, job)) == 1 and "No progress for" in told(house, job)[0]
    view = house.store.view(job.id)
    assert view.stalled == "silent" and (view.silent_s or 0) >= 0.5


def test_a_child_that_compiles_is_told_of_only_after_as_long_as_that_may_take(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.running(job := house.submit("emit(Stage('compile')); " + SILENT))
    house.until(lambda: house.store.view(job.id).stage == "compile")
    monkeypatch.setattr(watching, "SILENT_S", 0.1)
    time.sleep(0.5)
    assert not told(house, job) and not house.store.view(job.id).stalled
    monkeypatch.setitem(watching.SILENT_OF, "compile", 0.1)
    house.until(lambda: told(house, job))


def test_a_job_whose_folder_is_taken_away_takes_its_process_along(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "GONE_GRACE_S", 0.1)
    pid = house.running(job := house.submit(SILENT))
    os.rename(house.store.folder(job.id), house.folder / "elsewhere")
    house.until(lambda: not process.alive(pid))
    assert house.wait(house.submit(QUICK)).status.state is State.SUCCEEDED


@pytest.mark.parametrize("status", [0, 1])
def test_what_processes_shared_goes_when_they_end_without_taking_it_along(house: House, status: int) -> None:
    share = "(folder / 'team' / 'one').mkdir(parents=True); (folder / 'team' / 'one' / 'data.pt').write_text('x'); "
    job = house.submit(share + ("emit(Done({'answer': 1})); " if not status else "") + f"os._exit({status})")
    assert house.wait(job).status.state is (State.FAILED if status else State.SUCCEEDED)
    assert not (house.store.folder(job.id) / kept.TEAM_FOLDER).exists()


def test_what_processes_shared_goes_when_an_adopted_one_is_gone(house: House) -> None:
    abandoned = Abandoned(house, SILENT)
    shared = house.store.folder(abandoned.job.id) / kept.TEAM_FOLDER
    shared.mkdir()
    abandoned.child.kill()
    abandoned.reaper.join()
    house.queue.recover()
    assert house.wait(abandoned.job).status.state is State.FAILED and not shared.exists()


def test_a_job_can_be_cancelled_before_its_child_begins(house: House) -> None:
    job = house.store.create("train", {}, **LABELS)
    Control(house.store.folder(job.id)).ask(CANCEL)
    assert house.queue.run_here(job).status.state is State.CANCELLED
    assert house.starts(job) == 0


def test_run_here_takes_up_again_what_died(house: House) -> None:
    job = house.store.create("train", {}, **LABELS)
    house.body = "if state.exists(): emit(Done({'answer': 1})); sys.exit(0)\n" + FRAIL
    assert house.queue.run_here(job).status.state is State.SUCCEEDED
    assert house.store.status(job.id).restarts == 1


def test_an_old_last_word_does_not_count_for_a_child_that_never_began(house: House) -> None:
    """Its process ends before it can say anything: the pause of the run before is not the end of this one."""
    job = paused(house)
    script = house.folder / "mute"
    script.write_text("#!/bin/sh\nexit 9\n")
    script.chmod(0o755)
    mute = JobQueue(house.store, {}, lambda: TrainerPython(script), house._on_end, pausable=lambda job: True)
    mute.resume(job.id)
    status = mute.wait(job.id, 20).status
    assert (status.state, status.restarts) == (State.FAILED, 2)
    assert status.error and "exit code 9" in status.error["message"]
