"""Who runs a job, after deaths, restarts, clocks that were set, and with several programs on one folder."""
from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from personal_avatar.jobs import claims, process, queue
from personal_avatar.jobs.events import Started, read_events
from personal_avatar.jobs.states import State

from tests.unit.jobs.children import PATIENT, QUICK, trainer
from tests.unit.jobs.queue_house import LABELS, Abandoned, House

pytestmark = pytest.mark.slow


def test_a_process_is_named_for_good_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()
    since = process.started_at(me)
    assert process.alive(me, since) and not process.alive(me, since + 1)
    for day in (-4000, 4000):
        shifted = psutil.Process(me).create_time() + day * 86_400
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, at=shifted: at)
        assert process.started_at(me) == since and process.alive(me, since)
    assert float(repr(since)) == float(f"{since:.2f}") == since


def test_a_number_that_was_noted_as_unix_seconds_is_still_understood() -> None:
    me = psutil.Process()
    assert process.alive(me.pid, me.create_time()) and not process.alive(me.pid, me.create_time() - 60)


def test_after_a_restart_of_the_machine_it_is_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()
    since = process.started_at(me)
    assert not process.rebooted(since) and not process.rebooted(None) and not process.rebooted(1.7e9)
    monkeypatch.setattr(process, "_boot", lambda: 1 << 19)
    assert process.rebooted(since) and not process.alive(me, since)


def test_a_process_that_waits_to_be_buried_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    since = process.started_at(child.pid)
    end = time.monotonic() + 20
    while process.alive(child.pid, since) and time.monotonic() < end:
        time.sleep(0.02)
    assert not process.alive(child.pid, since)
    child.wait()
    assert process.started_at(child.pid) == 0


def test_a_claim_of_a_reused_process_id_belongs_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / claims.CLAIM_FILE).write_text(f"{os.getpid()} 1.0")
    assert claims.holder(tmp_path / "job") is None
    assert claims.take(tmp_path / "job") and claims.holder(tmp_path / "job") == os.getpid()


def test_a_claim_that_another_process_took_over_is_not_given_back(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    assert claims.take(tmp_path / "job")
    other = os.getppid()
    (tmp_path / "job" / claims.CLAIM_FILE).write_text(f"{other} {process.started_at(other)!r}")
    claims.release(tmp_path / "job")
    assert claims.holder(tmp_path / "job") == other


TAKER = """
import sys, time
from pathlib import Path
from personal_avatar.jobs import claims
while not Path(sys.argv[1], "go").exists():
    time.sleep(0.001)
print(sum(claims.take(Path(sys.argv[1], str(number))) for number in range(40)))
time.sleep(1.5)  # who dies gives back what it has
"""


@pytest.mark.slow
def test_of_several_processes_that_find_an_orphaned_claim_one_takes_it_over(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / claims.CLAIM_FILE).write_text("999999 1.0")
    environment = {**os.environ, "PYTHONPATH": str(Path(process.__file__).parents[2])}
    takers = [subprocess.Popen([sys.executable, "-c", TAKER, str(tmp_path)], env=environment, stdout=subprocess.PIPE)
              for _ in range(3)]
    time.sleep(1.0)
    (tmp_path / "go").touch()
    assert sum(int(taker.communicate()[0]) for taker in takers) == 40


def test_a_child_that_nobody_had_time_to_note_is_found_by_its_folder(house: House) -> None:
    """The program died between the start of the child and the note of its number."""
    house.body = PATIENT
    job = house.store.create("train", {}, **LABELS)
    house.store.move(job.id, State.RUNNING)
    child = process.start(house.store.folder(job.id), trainer(house.folder / "bin", PATIENT))
    reaper = threading.Thread(target=child.wait, daemon=True)
    reaper.start()
    house.again()
    house.queue.recover()
    house.until(lambda: house.store.status(job.id).pid == child.pid)
    (house.store.folder(job.id) / "finish").touch()
    assert house.wait(job).status.state is State.SUCCEEDED
    starts = [one for one in read_events(house.store.folder(job.id)) if isinstance(one.event, Started)]
    assert len(starts) == 1


def test_a_job_whose_child_was_never_started_is_begun_again_but_not_for_ever(house: House) -> None:
    """The program died right after it had taken the job; maybe because it took it."""
    job = house.store.create("train", {}, **LABELS)
    house.store.move(job.id, State.RUNNING)
    house.again()
    assert house.queue.run_here(job).status.state is State.SUCCEEDED
    assert house.store.status(job.id).restarts == 1
    ill = house.store.create("train", {}, **LABELS)
    house.store.move(ill.id, State.RUNNING, restarts=house.rules.restarts)
    assert house.queue.run_here(ill).status.state is State.FAILED


def test_a_program_that_stays_looks_after_what_another_one_leaves(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two on one folder, the one that ran the job dies; the other one had nothing to do until then."""
    monkeypatch.setattr(queue, "IDLE_S", 1.0)
    house.queue.recover()
    time.sleep(0.1)
    assert not house.queue._lanes
    job = Abandoned(house, PATIENT).job
    house.running(job)
    (house.store.folder(job.id) / "finish").touch()
    assert house.wait(job).status.state is State.SUCCEEDED


def test_a_death_is_noticed_at_once(house: House) -> None:
    pid = house.running(job := house.submit(PATIENT))
    died_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    assert house.wait(job).status.state is State.FAILED
    assert time.monotonic() - died_at < 3.0


def test_a_queue_that_is_not_used_any_more_is_not_watched(house: House) -> None:
    house.queue.recover()
    named = [thread for thread in threading.enumerate() if thread.name == "avatar-jobs"]
    house.again()
    house.until(lambda: gc.collect() >= 0 and not named[-1].is_alive())


def test_a_clock_that_goes_back_keeps_nobody_waiting(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = house.store.create("train", {}, **LABELS)
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now - 4000 * 86_400)
        second = house.submit(QUICK)
        assert [house.wait(job).status.state for job in (first, second)] == [State.SUCCEEDED] * 2
