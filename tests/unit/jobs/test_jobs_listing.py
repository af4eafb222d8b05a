"""A running job that stands still says so, and since when nothing was heard of it."""
from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from personal_avatar.jobs import process, watching
from personal_avatar.jobs.events import EventWriter, Log, Parked, Progress, Stage, Started
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobStore, JobView
from personal_avatar.wording import text

LONG_S = watching.SILENT_S + 60


@pytest.fixture()
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


@pytest.fixture()
def child() -> Iterator[psutil.Process]:
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        yield psutil.Process(started.pid)
    finally:
        started.kill()
        started.wait()


@pytest.fixture()
def heard(store: JobStore, child: psutil.Process) -> Callable[..., JobView]:
    """A job that runs since long ago; each event was told so many seconds ago."""
    def heard(*told: tuple[float, object]) -> JobView:
        now = time.time()
        job = store.create("train", {}, title="", user_id="", avatar_id="")
        since = process.started_at(child.pid)
        store.move(job.id, State.RUNNING, pid=child.pid, pid_started_at=since, taken_at=now - 9 * LONG_S)
        writer = EventWriter(store.folder(job.id))
        for ago_s, event in told:
            writer.tell(event, now - ago_s)  # type: ignore[arg-type]
        return store.view(job.id)

    return heard


def test_one_that_tells_of_its_steps_does_not_stand_still(heard: Callable[..., JobView]) -> None:
    view = heard((LONG_S, Stage("train")), (30.0, Progress(3, 9)))
    assert view.stalled == "" and view.silent_s == pytest.approx(30, abs=2)
    assert (view.to_json()["stalled"], view.to_json()["silent_s"]) == (None, view.silent_s)


def test_one_of_which_nothing_was_heard_for_long_stands_still(heard: Callable[..., JobView]) -> None:
    view = heard((2 * LONG_S, Started(1)), (LONG_S, Progress(3, 9)))
    assert view.stalled == "silent" and view.silent_s == pytest.approx(LONG_S, abs=2)
    assert view.to_json()["stalled"] == "silent"


def test_what_is_said_about_it_is_no_sign_of_its_life(heard: Callable[..., JobView]) -> None:
    view = heard((LONG_S, Progress(3, 9)), (5.0, Log(text("log.silent"), aside=True)))
    assert view.stalled == "silent" and view.silent_s == pytest.approx(LONG_S, abs=2)
    assert heard((LONG_S, Progress(3, 9)), (5.0, Log("It fetches the weights."))).stalled == ""


def test_one_that_compiles_may_be_silent_for_as_long_as_that_takes_on_a_processor(
    heard: Callable[..., JobView]
) -> None:
    assert heard((LONG_S, Stage("compile"))).stalled == ""
    assert heard((2 * LONG_S, Stage("compile")), (LONG_S, Stage("train"))).stalled == "silent"
    assert heard((watching.SILENT_OF["compile"] + 60, Stage("compile"))).stalled == "silent"


def test_one_that_waits_for_a_picture_has_reason_to(heard: Callable[..., JobView]) -> None:
    assert heard((LONG_S, Parked(True, 0.0))).stalled == ""


def test_one_that_was_taken_up_just_now_is_not_late_for_what_came_before(store: JobStore) -> None:
    job = store.create("train", {}, title="", user_id="", avatar_id="")
    EventWriter(store.folder(job.id)).tell(Progress(3, 9), time.time() - LONG_S)
    assert (store.view(job.id).stalled, store.view(job.id).silent_s) == ("", None)
    store.move(job.id, State.RUNNING)
    view = store.view(job.id)
    assert view.stalled == "" and view.silent_s is not None and view.silent_s < 5


def test_one_that_another_program_halted_says_so_until_it_goes_on(
    store: JobStore, heard: Callable[..., JobView], child: psutil.Process
) -> None:
    view = heard((1.0, Progress(3, 9)))
    child.suspend()
    end = time.monotonic() + 10
    while store.view(view.job.id).stalled != "halted":
        assert time.monotonic() < end
    child.resume()
    while store.view(view.job.id).stalled:
        assert time.monotonic() < end


def test_one_that_has_ended_stands_still_for_good_and_says_nothing(
    store: JobStore, heard: Callable[..., JobView]
) -> None:
    view = heard((LONG_S, Progress(3, 9)))
    store.move(view.job.id, State.CANCELLED)
    assert (store.view(view.job.id).stalled, store.view(view.job.id).silent_s) == ("", None)
