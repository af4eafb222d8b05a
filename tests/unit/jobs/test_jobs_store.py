"""Jobs on disk: what a crash between two files leaves, and what damage by hand does."""
from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from personal_avatar.errors import Crashed, JobDamaged, NotFound, WrongState
from personal_avatar.jobs.events import Done, EventWriter, Failed, Paused, Progress, Score, Stage, Started
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobStore, Status

from tests.unit.locks import lock

Damage = Callable[[Path], object]
DEAD = 999999999  # a number that no process has
LABELS = {"title": "t", "user_id": "u", "avatar_id": "a"}


@pytest.fixture()
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs")


def create(store: JobStore, user_id: str = "u", kind: str = "train") -> Job:
    job = store.create(kind, {"a": 1}, **{**LABELS, "user_id": user_id})
    path = store.folder(job.id) / "job.json"
    number = len(store.ids())
    os.utime(path, ns=(number, number))
    return job


def test_a_job_is_read_as_it_was_written(store: JobStore) -> None:
    job = create(store)
    assert JobStore(store.folder(job.id).parent).job(job.id) == job
    assert store.view(job.id).to_json()["state"] == "queued"


def test_lists_are_newest_first_and_filtered(store: JobStore) -> None:
    first, second = create(store), create(store, "v")
    store.move(first.id, State.RUNNING)
    assert [view.job.id for view in store.views()] == [second.id, first.id]
    assert [view.job.id for view in store.views(user_id="v")] == [second.id]
    assert [view.job.id for view in store.views(states=[State.RUNNING])] == [first.id]
    assert JobStore(Path("/nowhere")).views() == []


def test_positions_count_the_queued_ones_of_the_same_kind(store: JobStore) -> None:
    jobs = [create(store), create(store, kind="create"), create(store)]
    assert [store.view(job.id).position for job in jobs] == [1, 1, 2]
    store.move(jobs[0].id, State.RUNNING)
    assert [store.view(job.id).position for job in jobs] == [0, 1, 1]


def test_a_crash_while_a_job_is_written_leaves_no_job(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("personal_avatar.jobs.files.os.replace", crash)
    with pytest.raises(KeyboardInterrupt):
        store.create("train", {}, **LABELS)
    monkeypatch.undo()
    assert store.ids() == []
    assert create(store).id in store.ids()


def lose_status(folder: Path) -> None:
    (folder / "status.json").unlink()


def tear_status(folder: Path) -> None:
    (folder / "status.json").write_text("{")


def forge_status(folder: Path) -> None:
    (folder / "status.json").write_text('{"state": "asleep"}')


STATUS_DAMAGE = [lose_status, tear_status, forge_status]


@pytest.mark.parametrize("damage", STATUS_DAMAGE)
@pytest.mark.parametrize("again", [True, False], ids=["index gone", "index there"])
def test_a_damaged_state_is_told_by_the_other_files(store: JobStore, damage: Damage, again: bool) -> None:
    """Each way in which a job can stand, with nothing but its folder to tell it."""
    stand = {
        "queued": [], "cancelled": [Started(DEAD), Failed({"code": "CANCELLED", "message": "m"})],
        "failed": [Started(DEAD), Failed({"code": "NAN_LOSS", "message": "m", "hint": "h"})],
        "paused": [Started(DEAD), Progress(3, 9), Paused(3)], "succeeded": [Started(DEAD), Done({"x": 1})],
    }
    jobs = {state: create(store) for state in stand}
    for state, told in stand.items():
        emit = EventWriter(store.folder(jobs[state].id))
        for event in told:
            emit(event)
        if told:
            store.move(jobs[state].id, State.RUNNING)
            store.move(jobs[state].id, State(state))
        damage(store.folder(jobs[state].id))
    if again:
        store.rebuild()
    assert {view.job.id: view.status.state.value for view in store.views()} == {
        job.id: state for state, job in jobs.items()
    }
    assert store.status(jobs["succeeded"].id).ended_at and store.view(jobs["succeeded"].id).result == {"x": 1}
    if again:
        assert (store.status(jobs["failed"].id).error or {})["code"] == "NAN_LOSS"


@pytest.mark.parametrize("damage", STATUS_DAMAGE)
def test_work_that_nobody_settled_counts_as_running_until_the_queue_settles_it(store: JobStore, damage: Damage) -> None:
    job = create(store)
    (store.folder(job.id) / "claim").write_text("999999999 1.0")
    for event in (Started(DEAD), Done({"x": 1})):
        EventWriter(store.folder(job.id))(event)
    damage(store.folder(job.id))
    store.rebuild()
    assert store.status(job.id).state is State.RUNNING
    (store.folder(job.id) / "claim").unlink()
    assert store.view(job.id).status.state is State.SUCCEEDED


def test_work_that_ended_without_a_word_and_without_a_state_failed_by_name(store: JobStore) -> None:
    job = create(store)
    EventWriter(store.folder(job.id))(Started(DEAD))
    store.move(job.id, State.RUNNING)
    lose_status(store.folder(job.id))
    store.rebuild()
    view = store.view(job.id)
    assert view.status.state is State.FAILED and (view.status.error or {})["code"] == "JOB_DAMAGED"
    assert (view.status.error or {})["hint"]


@pytest.mark.parametrize("damage", STATUS_DAMAGE)
def test_a_damaged_state_is_mended_at_the_next_start(store: JobStore, damage: Damage) -> None:
    broken, whole = create(store), create(store)
    damage(store.folder(broken.id))
    again = JobStore(store.folder(whole.id).parent)
    assert again.mend() == [broken.id] and again.mend() == []
    assert again.status(broken.id) == Status()
    assert again.move(broken.id, State.RUNNING).state is State.RUNNING


@pytest.mark.parametrize("damage", [
    lambda folder: (folder / "job.json").write_bytes(b"\xff\xfe"),
    lambda folder: (folder / "job.json").unlink(),
])
def test_a_job_whose_description_is_lost_does_not_vanish_and_cannot_run(store: JobStore, damage: Damage) -> None:
    broken, whole = create(store), create(store)
    damage(store.folder(broken.id))
    for known in (True, False):
        reader = store if known else JobStore(store.folder(whole.id).parent / ".." / "jobs")
        if not known:
            store.rebuild()
        views = {view.job.id: view for view in reader.views()}
        assert set(views) == {broken.id, whole.id}
        assert views[broken.id].status.state is State.FAILED
        assert (views[broken.id].status.error or {})["code"] == "JOB_DAMAGED"
        assert views[broken.id].job.title == ("t" if known else "")
        assert reader.view(broken.id).position == 0 and reader.view(whole.id).position == 1
    with pytest.raises(JobDamaged):
        JobStore(store.folder(whole.id).parent).job(broken.id)
    store.delete(broken.id)
    assert store.ids() == [whole.id]


@pytest.mark.parametrize("name", ["", ".", "..", "../jobs", "a/b", "no such", "0" * 32, "a\x00b", "é"])
def test_names_that_are_no_ids_are_not_found(store: JobStore, name: str) -> None:
    create(store)
    with pytest.raises(NotFound):
        store.folder(name)


def test_one_of_many_threads_gets_the_claim(store: JobStore) -> None:
    job, won = create(store), []
    threads = [threading.Thread(target=lambda: won.append(store.claim(job.id))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


def test_a_claim_of_this_process_is_not_orphaned(store: JobStore) -> None:
    job = create(store)
    store.claim(job.id)
    store.free_if_orphaned(job.id)
    assert not store.claim(job.id)


@pytest.mark.parametrize("content", ["999999999 1.0", "1 2 3", "garbage here"])
def test_a_claim_of_nobody_is_freed(store: JobStore, content: str) -> None:
    job = create(store)
    claim = store.folder(job.id) / "claim"
    claim.write_text(content)
    os.utime(claim, (1, 1))
    store.free_if_orphaned(job.id)
    assert store.claim(job.id)


def test_a_view_tells_where_the_work_stands(store: JobStore) -> None:
    job = create(store)
    emit = EventWriter(store.folder(job.id))
    for event in (Stage("train"), Progress(3, 10, loss=0.5, seconds_per_step=2.0), Score(3, 0.4)):
        emit(event)
    view = store.view(job.id)
    assert (view.stage, view.step, view.total_steps, view.eta_s, view.likeness) == ("train", 3, 10, 14.0, 0.4)
    assert view.progress == pytest.approx(0.3)
    emit(Done({"x": 1}))
    assert store.view(job.id).result == {"x": 1}


@pytest.mark.parametrize("last", [Done({}), Failed({"code": "NOT_ALIKE", "message": "m", "hint": "h"})])
def test_stages_without_steps_leave_those_of_the_loop_before_them(store: JobStore, last: Done | Failed) -> None:
    """Whoever looks at the numbers sees no 0 % after 100 %."""
    job = create(store)
    emit = EventWriter(store.folder(job.id))
    emit(Stage("check"))
    assert (store.view(job.id).progress, store.view(job.id).past_loop) == (0.0, False)
    for event in (Stage("train"), Progress(4, 4, loss=0.5, seconds_per_step=2.0), Stage("score"), Stage("selftest")):
        emit(event)
    view = store.view(job.id)
    assert (view.stage, view.step, view.total_steps, view.progress, view.past_loop) == ("selftest", 4, 4, 1.0, True)
    assert view.eta_s is None, "its pace tells nothing of what comes after"
    emit(last)
    assert (store.view(job.id).progress, store.view(job.id).step, store.view(job.id).total_steps) == (1.0, 4, 4)


def test_another_loop_counts_its_own_steps(store: JobStore) -> None:
    job = create(store)
    emit = EventWriter(store.folder(job.id))
    for event in (Stage("generate"), Progress(4, 4), Stage("restore"), Progress(1, 2)):
        emit(event)
    assert (store.view(job.id).progress, store.view(job.id).past_loop) == (0.5, False)
    emit(Started(2))
    assert (store.view(job.id).progress, store.view(job.id).past_loop) == (0.0, False), "it begins anew"


def test_what_a_failed_job_kept_is_its_result(store: JobStore) -> None:
    job = create(store)
    EventWriter(store.folder(job.id))(Failed({"code": "CANCELLED", "result": {"files": []}}))
    assert store.view(job.id).result == {"files": []}


def test_only_jobs_that_ended_are_deleted(store: JobStore) -> None:
    job = create(store)
    with pytest.raises(WrongState, match="has not ended"):
        store.delete(job.id)
    store.fail(job.id, Crashed("broken"))
    store.delete(job.id)
    store.release(job.id)
    assert store.ids() == []


def test_the_log_is_cut_from_the_front(store: JobStore) -> None:
    job = create(store)
    assert store.log_tail(job.id) == ""
    (store.folder(job.id) / "log.txt").write_bytes(b"x" * 100 + "é end".encode())
    assert store.log_tail(job.id, 6) == "é end"


def test_files_given_to_a_job_lie_in_its_folder_and_go_with_it(store: JobStore, tmp_path: Path) -> None:
    photo = tmp_path / "photo"
    photo.write_bytes(b"face")
    job = store.create("create", {}, **LABELS, files={"00.png": photo})
    assert (store.folder(job.id) / "photos" / "00.png").read_bytes() == b"face"
    folder = store.folder(job.id)
    store.fail(job.id, Crashed("x"))
    store.delete(job.id)
    assert not folder.exists() and photo.exists()


@pytest.mark.parametrize("in_use", ["00.png", "photos", "events.jsonl"])
def test_a_job_of_which_something_is_in_use_stays_to_be_deleted_again(
    store: JobStore, tmp_path: Path, in_use: str
) -> None:
    (photo := tmp_path / "photo").write_bytes(b"face")
    job = store.create("create", {}, **LABELS, files={"00.png": photo})
    EventWriter(store.folder(job.id))(Done({"files": ["x"]}))
    store.fail(job.id, Crashed("x"))
    with pytest.MonkeyPatch.context() as patch:
        lock(patch, in_use)
        with pytest.raises(PermissionError):
            store.delete(job.id)
    assert [view.job.avatar_id for view in store.views()] == [job.avatar_id]
    assert store.view(job.id).status.state is State.FAILED
    store.delete(job.id)
    assert store.ids() == [] and not [path for path in (tmp_path / "jobs").iterdir() if path.is_dir()]


def moved_away(folder: Path, disk: Path) -> Path:
    """Where it lies now, with a link in its place."""
    disk.mkdir()
    shutil.move(folder, disk / "job")
    folder.symlink_to(disk / "job", target_is_directory=True)
    return disk / "job"


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_dir() or path.is_symlink()]


@pytest.mark.parametrize("in_use", ["", "events.jsonl"])
def test_a_job_that_was_moved_to_another_disk_goes_there_with_its_link(
    store: JobStore, tmp_path: Path, in_use: str
) -> None:
    job = create(store)
    folder = store.folder(job.id)
    EventWriter(folder)(Done({"files": ["x"]}))
    store.fail(job.id, Crashed("x"))
    moved = moved_away(folder, tmp_path / "disk")
    if in_use:
        with pytest.MonkeyPatch.context() as patch:
            lock(patch, in_use)
            with pytest.raises(PermissionError):
                store.delete(job.id)
        assert store.ids() == [job.id] and entries(folder.parent) == [job.id]
    assert store.delete(job.id) is None
    assert store.ids() == [] and entries(folder.parent) == [] and not moved.exists()


@pytest.mark.parametrize("told", ['{"id": "another"}', "{"])
def test_what_a_link_in_the_place_of_a_job_leads_to_stays_and_is_named_where_it_may_be_anothers(
    store: JobStore, tmp_path: Path, told: str
) -> None:
    job = create(store)
    folder = store.folder(job.id)
    store.fail(job.id, Crashed("x"))
    moved = moved_away(folder, tmp_path / "disk")
    (moved / "job.json").write_text(told)
    before = sorted(moved.rglob("*"))
    assert store.delete(job.id) == moved
    assert store.ids() == [] and entries(folder.parent) == [] and sorted(moved.rglob("*")) == before


def test_links_of_jobs_whose_deletion_a_crash_broke_off_go_at_the_next_start(store: JobStore, tmp_path: Path) -> None:
    job = create(store)
    folder = store.folder(job.id)
    moved = moved_away(folder, tmp_path / "disk")
    folder.rename(folder.with_name(f".{job.id}.deleted"))
    (somebodys := tmp_path / "somebody's").mkdir()
    (somebodys / "diary.txt").touch()
    folder.with_name(f".{'a' * 32}.deleted").symlink_to(tmp_path / "a disk that is away")
    folder.with_name(f".{'b' * 32}.deleted").symlink_to(somebodys, target_is_directory=True)
    folder.with_name(f".{'c' * 32}.deleted").symlink_to(f".{'c' * 32}.deleted")
    store.mend()
    assert entries(folder.parent) == [] and not moved.exists() and (somebodys / "diary.txt").exists()


def test_a_job_whose_files_are_gone_leaves_no_trace(store: JobStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.create("create", {}, **LABELS, files={"00.png": tmp_path / "gone"})
    assert store.ids() == [] and [path for path in (tmp_path / "jobs").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("name", ["job.json", "status.json", "artifacts"])
def test_a_full_disk_while_a_job_is_made_leaves_no_trace(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def full(path: Path, *_: object, **__: object) -> None:
        if path.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("personal_avatar.jobs.files.write_json", full)
    if name == "artifacts":
        monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="No space"):
        store.create("create", {}, **LABELS)
    monkeypatch.undo()
    assert store.ids() == [] and [path for path in tmp_path.glob("jobs/.*") if path.is_dir()] == []


def test_an_end_for_which_there_was_no_space_is_written_when_there_is(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    job = create(store)
    monkeypatch.setattr("personal_avatar.jobs.files.write_json", full)
    store.fail(job.id, Crashed("x"))
    assert [view.status.state for view in store.views()] == [State.FAILED] == [store.status(job.id).state]
    assert JobStore(store.folder(job.id).parent).status(job.id).state is State.QUEUED
    monkeypatch.undo()
    assert store.count(states=[State.FAILED]) == 1
    assert JobStore(store.folder(job.id).parent).view(job.id).status.state is State.FAILED


def test_what_crashes_left_of_jobs_is_removed_at_the_next_start(store: JobStore) -> None:
    job = create(store)
    folder = store.folder(job.id).parent
    deleted, old, young, foreign = (folder / name for name in (
        f".{'a' * 32}.deleted", f".{'b' * 32}", f".{'c' * 32}", ".keep"))
    for path in (deleted, old, young, foreign):
        (path / "photos").mkdir(parents=True)
    for path in (old / "photos", old):
        os.utime(path, (1, 1))
    store.mend()
    assert [path.exists() for path in (deleted, old, young, foreign)] == [False, False, True, True]
    assert store.ids() == [job.id]


def test_a_failed_job_that_is_taken_up_again_has_not_ended(store: JobStore) -> None:
    job = create(store)
    store.move(job.id, State.RUNNING)
    store.fail(job.id, Crashed("x"))
    began = store.status(job.id)
    again = store.move(job.id, State.QUEUED)
    assert (again.ended_at, again.error, again.started_at) == (None, None, began.started_at)
    assert [view.job.id for view in store.views(states=[State.QUEUED])] == [job.id]
