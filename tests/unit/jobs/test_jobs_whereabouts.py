"""Programs in several containers, or on several machines, on one data folder: of each other they know no processes."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pytest
from personal_avatar.jobs import claims, process, whereabouts
from personal_avatar.jobs.control import AWAITED, Control
from personal_avatar.jobs.events import Log, read_events
from personal_avatar.jobs.job import Status
from personal_avatar.jobs.left import settle
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job

from tests.unit.jobs.children import PATIENT, trainer
from tests.unit.jobs.queue_house import LABELS, House

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
PREAMBLE = """
import os, sys, time
from pathlib import Path
from personal_avatar.jobs import claims, process, queue, whereabouts
from tests.unit.jobs.queue_house import House
from tests.unit.jobs.children import PATIENT, trainer
queue.POLL_S, queue.IDLE_S = 0.02, 0.1
folder = Path(sys.argv[1])
house = House(folder)
house.pausable = ("train",)
house.body = PATIENT
house.again()
"""
# A program that looks after all jobs.
SERVES = """
house.queue.recover()
(folder / "looks").touch()
time.sleep(120)
"""
# A program that has a job: its claim, and the process of its work.
HAS = """
job, = house.store.ids()
assert house.store.claim(job)
from personal_avatar.jobs.states import State; house.store.move(job, State.RUNNING)
child = process.start(house.store.folder(job), trainer(folder / "bin", PATIENT))
house.store.note_process(job, child.pid, process.started_at(child.pid))
(folder / "has").write_text(str(child.pid))
time.sleep(120)
"""
# Work whose own process goes on when it is gone, with its output.
STARTS_ANOTHER = """
import subprocess
other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
(folder / "new").write_text(str(other.pid))
os.replace(folder / "new", folder / "other")
time.sleep(60)
"""
ANOTHER_CONTAINER = 'whereabouts._namespace = lambda: "1"\n'
ANOTHER_MACHINE = """
whereabouts.platform.node = lambda: "far"
whereabouts._boot, whereabouts._namespace = lambda: "b00f", lambda: "1"
"""
needs_boot = pytest.mark.skipif(not whereabouts._boot(), reason="the system does not tell when it was started")


@lru_cache
def can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


@contextmanager
def program(folder: Path, text: str, *before: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program on the folder; at the end it is gone."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "extension"), str(ROOT)))}
    command = [*before, sys.executable, "-c", text, str(folder)]
    with subprocess.Popen(command, env=environment) as running:
        try:
            yield running
        finally:
            running.kill()


def has(house: House, running: subprocess.Popen[bytes]) -> int:
    """Wait until it has the job, whose work can go on from its state; the number of its process, as it is there."""
    house.until(lambda: (house.folder / "has").exists() or running.poll() is not None)
    house.until(lambda: next(house.folder.glob("jobs/*/state/complete.json"), None))
    return int((house.folder / "has").read_text())


def waiting(house: House) -> Job:
    house.pausable, house.body = ("train",), PATIENT
    house.again()
    return house.store.create("train", {}, **LABELS)


def stays(test: Callable[[], bool], for_s: float = 1.0) -> bool:
    end = time.monotonic() + for_s
    while test() and time.monotonic() < end:
        time.sleep(0.05)
    return test()


def told(house: House, job: Job) -> str:
    return " ".join(one.event.message for one in read_events(house.store.folder(job.id)) if isinstance(one.event, Log))


@pytest.mark.skipif(not can_unshare(), reason="no rooms of process numbers can be made here (unshare)")
def test_a_container_leaves_a_job_alone_that_runs_outside_of_it(house: House) -> None:
    job = waiting(house)
    house.queue.recover()
    pid = house.running(job)
    with program(house.folder, PREAMBLE + SERVES, *UNSHARE):
        house.until(lambda: (house.folder / "looks").exists())
        claim = (house.store.folder(job.id) / "claim").read_text()
        assert stays(lambda: house.store.status(job.id).state is State.RUNNING, 2.0)
        assert (house.store.folder(job.id) / "claim").read_text() == claim
        assert house.store.status(job.id).pid == pid and process.alive(pid)
        assert house.finished(job) is State.SUCCEEDED
    assert house.starts(job) == 1


@pytest.mark.skipif(not can_unshare(), reason="no rooms of process numbers can be made here (unshare)")
def test_a_job_of_a_container_goes_on_at_once_when_that_is_gone(house: House) -> None:
    job = waiting(house)
    with program(house.folder, PREAMBLE + HAS, *UNSHARE) as container:
        has(house, container)
        house.queue.recover()
        assert stays(lambda: house.store.status(job.id).state is State.RUNNING and house.starts(job) == 1, 2.0)
    house.until(lambda: house.starts(job) == 2)
    assert house.finished(job) is State.SUCCEEDED and f"({whereabouts.host_of(whereabouts.here())})" in told(house, job)


@needs_boot
@pytest.mark.skipif(os.name == "nt", reason="no containers share a kernel there")
def test_a_process_of_another_container_lives_as_long_as_it_holds_its_files(house: House) -> None:
    """With the program its claim goes; the work goes on, and is watched until its end."""
    job = waiting(house)
    with program(house.folder, PREAMBLE + ANOTHER_CONTAINER + HAS) as other:
        pid = has(house, other)
        folder, status = house.store.folder(job.id), house.store.status(job.id)
        assert status.pid == pid and status.pid_here is None
        os.utime(folder / "claim", (0, 0))
        assert house.store.is_claimed(job.id) and not house.store.claim(job.id) and process.works(folder, status)
        settle(house.store, house.queue._runner)
        assert house.store.status(job.id) == status
    assert not house.store.is_claimed(job.id) and process.works(folder, status)
    house.queue.recover()
    house.until(lambda: house.store.is_claimed(job.id))
    assert stays(lambda: house.starts(job) == 1) and "another container" in told(house, job)
    assert house.finished(job) is State.SUCCEEDED and house.starts(job) == 1


@needs_boot
@pytest.mark.skipif(os.name == "nt", reason="no containers share a kernel there")
def test_work_of_another_container_that_died_without_a_word_is_taken_up_again(house: House) -> None:
    job = waiting(house)
    with program(house.folder, PREAMBLE + ANOTHER_CONTAINER + HAS) as other:
        pid = has(house, other)
    house.queue.recover()
    house.until(lambda: house.store.is_claimed(job.id))
    os.kill(pid, signal.SIGKILL)
    house.until(lambda: house.starts(job) == 2)
    assert house.finished(job) is State.SUCCEEDED and house.store.status(job.id).restarts == 1


@needs_boot
@pytest.mark.skipif(os.name == "nt", reason="no containers share a kernel there")
def test_work_of_another_container_is_dead_while_something_that_it_started_goes_on(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    child = process.start(tmp_path / "job", trainer(tmp_path / "bin", STARTS_ANOTHER))
    try:
        other = wait_for_number(tmp_path / "job" / "other")
        host, boot, _ = whereabouts.here().split(".")
        status = Status(State.RUNNING, pid=child.pid, pid_started_at=1.0, place=f"{host}.{boot}.1")
        assert process.works(tmp_path / "job", status)
    finally:
        child.kill()
        child.wait()
    assert process.alive(other) and not process.works(tmp_path / "job", status)
    process.kill(other, None)


def wait_for_number(file: Path) -> int:
    end = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return int(file.read_text())


def test_a_claim_on_another_machine_holds_as_long_as_it_is_touched(house: House) -> None:
    job = waiting(house)
    beating = "whereabouts.BEAT_S = 0.1\n"
    with program(house.folder, PREAMBLE + ANOTHER_MACHINE + beating + HAS) as other:
        pid = has(house, other)
        claim = house.store.folder(job.id) / "claim"
        assert claim.read_text().endswith("far.b00f.1")
        os.utime(claim, (1, 1))
        house.until(lambda: claim.stat().st_mtime > 1)
        assert house.store.is_claimed(job.id) and not house.store.claim(job.id)
    process.kill(pid, None)
    assert house.store.is_claimed(job.id)
    quiet_since = time.time() - whereabouts.QUIET_S - 5
    os.utime(claim, (quiet_since, quiet_since))
    assert not house.store.is_claimed(job.id) and house.store.claim(job.id)
    house.store.release(job.id)


def test_work_on_another_machine_counts_as_gone_when_it_said_nothing_for_long(house: House) -> None:
    job = waiting(house)
    with program(house.folder, PREAMBLE + ANOTHER_MACHINE + HAS) as other:
        pid = has(house, other)
    process.kill(pid, None)
    folder = house.store.folder(job.id)
    ages(folder / "claim", whereabouts.QUIET_S + 5)
    house.queue.recover()
    house.until(lambda: house.store.is_claimed(job.id))
    assert stays(lambda: house.starts(job) == 1) and "(far)" in told(house, job)
    for name in ("alive", "log.txt", "events.jsonl"):
        ages(folder / name, whereabouts.ORPHAN_S + 5)
    house.until(lambda: house.starts(job) == 2)
    assert house.finished(job) is State.SUCCEEDED


def ages(file: Path, by_s: float) -> None:
    os.utime(file, (time.time() - by_s, time.time() - by_s))


def test_what_this_machine_had_before_it_was_started_anew_is_gone_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{whereabouts.host_of(whereabouts.here())}.b00f.1"
    (tmp_path / "claim").touch()
    assert not whereabouts.is_here(place) and whereabouts.lives(tmp_path / "claim", place)
    monkeypatch.setattr(whereabouts.psutil, "boot_time", lambda: time.time() + 5)
    assert not whereabouts.lives(tmp_path / "claim", place)
    assert whereabouts.lives(tmp_path / "claim", "far.b00f.1")


def test_a_place_that_an_earlier_version_did_not_note_is_this_one(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    claim = tmp_path / "job" / claims.CLAIM_FILE
    claim.write_text(f"{os.getppid()} {process.started_at(os.getppid())!r}")
    assert claims.holder(tmp_path / "job") == os.getppid()
    claim.write_text("999999999 1.0")
    assert claims.holder(tmp_path / "job") is None and claims.take(tmp_path / "job")


@needs_boot
def test_the_name_of_a_machine_may_change_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    host, boot, room = whereabouts.here().split(".")
    assert whereabouts.is_here(f"{host}-renamed.{boot}.{room}")
    assert not whereabouts.is_here(f"{host}.{boot}.1") and not whereabouts.is_here(f"{host}..{room}")


def test_what_a_program_elsewhere_asks_for_holds_until_it_is_gone(tmp_path: Path) -> None:
    asks = f"""
import sys, time
from pathlib import Path
from personal_avatar.jobs import whereabouts
from personal_avatar.jobs.control import AWAITED, Control
{ANOTHER_MACHINE}
print(Control(Path(sys.argv[1])).join(AWAITED), flush=True)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extension")}
    said = subprocess.run([sys.executable, "-c", asks, str(tmp_path)], env=environment, capture_output=True, text=True)
    asker = Path(said.stdout.strip())
    assert Control(tmp_path).asked(AWAITED) and asker.exists()
    ages(asker, whereabouts.QUIET_S + 5)
    assert not Control(tmp_path).asked(AWAITED) and not asker.exists()


def test_what_is_given_back_is_open_no_more(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    before = set(whereabouts._held)
    for _ in range(3):
        assert claims.take(tmp_path / "job")
        assert set(whereabouts._held) - before == {tmp_path / "job" / claims.CLAIM_FILE}
        claims.release(tmp_path / "job")
    assert claims.take(tmp_path / "job")
    shutil.rmtree(tmp_path / "job")
    claims.release(tmp_path / "job")
    assert set(whereabouts._held) == before
