"""A job that is carried to another machine: here the keeper of the cluster's machine stands in the same process, with a
folder of its own, and does everything that it does there."""
from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import personal_avatar
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Avatar, Method, to_json
from personal_avatar.errors import BadInput, InvalidSettings, JobDamaged
from personal_avatar.jobs.control import CANCEL, PAUSE, YIELD, Control, PauseTaken
from personal_avatar.jobs.events import Event, EventWriter, Log, Parked, Progress, Stage, read_events
from personal_avatar.jobs.places import Places
from personal_avatar.storage import sha256_of
from personal_avatar.training import storing
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.worker.cluster import node as node_side
from personal_avatar.worker.cluster import parcels
from personal_avatar.worker.cluster.carrying import pack, task_of
from personal_avatar.worker.cluster.following import Following
from personal_avatar.worker.cluster.heeding import Heeding
from personal_avatar.worker.cluster.node import NodeJob
from personal_avatar.worker.cluster.parcels import ARRIVING, Inbox, Ledger, Note, Piece, batches, cut, inside
from personal_avatar.worker.cluster.sending import Trip
from personal_avatar.worker.cluster.shared import SharedFiles
from personal_avatar.worker.main import forget

from tests.shipped import tiny

PACKAGE = Path(personal_avatar.__file__).parent
PLAN = {
    "steps": 4, "save_count": 2, "score_pictures": 1, "sample_steps": 1, "rank": 2, "conv_rank": 0, "batch_size": 1,
    "must_rise": False, "resolution_px": 64, "prior_weight": 0.0,
}


class Beside:
    """A place that is asked by plain calls."""

    def __init__(self, keeper: NodeJob) -> None:
        self.keeper = keeper

    def ask(self, method: str, *arguments: Any, look: Any = None) -> Any:
        return getattr(self.keeper, method)(*arguments)

    def hand(self, pieces: list[Piece]) -> None:
        self.keeper.put(pieces)

    def end(self) -> None:
        self.keeper.close()


@pytest.fixture
def trip(tmp_path: Path, face_weights: Path) -> Any:
    def make(**plan: object) -> Trip:
        avatar = Avatar("sam", "Sam", "local", "man", "sks man", "2026-01-01T00:00:00Z")
        photos = tuple(PACKAGE / "assets" / "samples" / f"{number:02d}.jpg" for number in (1, 2, 3, 4, 5))
        task = TrainTask(
            avatar, tmp_path / "avatar", photos, tiny(), Method.LORA, {**PLAN, **plan}, tmp_path / "Lora", face_weights
        )
        folder = tmp_path / "job"
        (folder / "artifacts").mkdir(parents=True)
        job = {"id": "job1", "kind": "train", "payload": to_json(task)}
        (folder / "job.json").write_text(json.dumps(job))
        return Trip(job, task, folder, Heeding(folder, EventWriter(folder), Control(folder)))

    return make


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine of the cluster: a keeper for the job in a folder of its own."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def make(name: str = "a", lease_s: float = 300.0) -> Beside:
        monkeypatch.setenv(node_side.FOLDER_VARIABLE, str(tmp_path / name))
        return Beside(NodeJob("job1", lease_s, end=lambda status: None))

    return make


def events(folder: Path) -> list[Event]:
    return [record.event for record in read_events(folder)]


# -- names and pieces


@given(st.text(max_size=30))
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    root = Path("/nowhere/jobs")
    try:
        path = inside(root, name)
    except BadInput:
        return
    assert path.is_relative_to(root) and path != root and ".." not in path.parts


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "a\\b", "c:/a", "a/./b", "a//b", "a\0"])
def test_odd_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        inside(tmp_path, name)


def test_a_link_does_not_lead_out_and_does_not_travel(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "job" / "out").symlink_to(tmp_path)
    (tmp_path / "job" / "one").symlink_to(tmp_path / "secret.txt")
    assert Ledger().below(tmp_path / "job", "job") == []
    with pytest.raises(BadInput):
        inside(tmp_path / "job", "out/secret.txt")


@given(st.lists(st.integers(0, 50), max_size=8), st.integers(1, 20))
def test_batches_hold_every_byte_once_and_in_order(sizes: list[int], most: int) -> None:
    notes = [Note(str(number), size, "") for number, size in enumerate(sizes)]
    found = list(batches(notes, most))
    assert all(sum(span.size for span in batch) <= most for batch in found)
    spans = [span for batch in found for span in batch]
    for note in notes:
        own = [span for span in spans if span.path == note.path]
        assert own and own[0].offset == 0 and sum(span.size for span in own) == note.size
        assert all(one.offset + one.size == two.offset for one, two in zip(own, own[1:], strict=False))


def test_files_arrive_as_they_were(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.bin").write_bytes(bytes(range(256)) * 50)
    (source / "empty").touch()
    notes = Ledger().below(source, "x")
    inbox = Inbox(lambda name: inside(target, name), notes)
    for spans in batches(notes, 1000):
        inbox.take(cut(spans, lambda name: source / name[2:]))
    assert (target / "x" / "deep" / "a.bin").read_bytes() == (source / "deep" / "a.bin").read_bytes()
    assert (target / "x" / "empty").read_bytes() == b""


def test_what_changed_on_its_way_never_takes_a_place(tmp_path: Path) -> None:
    inbox = Inbox(lambda name: tmp_path / name, [Note("a", 3, "0" * 64)])
    with pytest.raises(JobDamaged):
        inbox.take([Piece("a", 0, b"abc")])
    with pytest.raises(JobDamaged):
        inbox.take([Piece("uninvited", 0, b"abc")])
    assert list(tmp_path.iterdir()) == []


def test_paths_are_put_into_the_other_machines_folders_and_back() -> None:
    places = Places((("/a/data", "/n/job/avatar"), ("/a/data/jobs/1", "/n/job/job"), ("/m/base.ckpt", "/n/job/base/b")))
    document = {
        "one": ["/a/data/jobs/1/artifacts/x", 3, None], "two": {"p": "/a/data/photos/1.jpg"}, "b": "/m/base.ckpt",
    }  # fmt: skip
    there = places.there(document)
    assert there["one"][0] == "/n/job/job/artifacts/x" and there["two"]["p"] == "/n/job/avatar/photos/1.jpg"
    assert there["b"] == "/n/job/base/b"
    assert places.here(there) == document
    assert places.there("/a/database") == "/a/database"


# -- shared files


def test_a_checkpoint_that_the_machine_has_is_found_by_its_hash(tmp_path: Path) -> None:
    known = tmp_path / "models" / "deep"
    known.mkdir(parents=True)
    (known / "base.ckpt").write_bytes(b"weights")
    note = Note("base/base.ckpt", 7, sha256_of(known / "base.ckpt"))
    files = SharedFiles(tmp_path / "files", [tmp_path / "models"])
    assert files.find(note) == known / "base.ckpt"
    files.lend(note, tmp_path / "job" / "base.ckpt")
    (known / "base.ckpt").unlink()
    assert files.find(note) is None
    assert (tmp_path / "job" / "base.ckpt").read_bytes() == b"weights"


def test_a_damaged_copy_is_asked_for_again(tmp_path: Path) -> None:
    files = SharedFiles(tmp_path)
    note = Note("base/a", 3, sha256_of(Path(__file__)))
    files.place(note.sha256).write_bytes(b"abc")
    assert files.find(note) is None
    assert not files.place(note.sha256).exists()


def test_the_oldest_shared_files_make_room(tmp_path: Path) -> None:
    files = SharedFiles(tmp_path, most_bytes=25)
    for age, name in ((30, "old"), (20, "middle"), (10, "new")):
        (tmp_path / name).write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    files.make_room(10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new"]


def sent_in_part(path: Path, silent_s: float) -> Path:
    path.write_bytes(b"x" * 10)
    os.utime(path, (time.time() - silent_s, time.time() - silent_s))
    return path


def test_parts_that_nobody_sends_more_of_go_and_those_on_their_way_count(tmp_path: Path) -> None:
    files = SharedFiles(tmp_path, most_bytes=35, lease_s=60.0)
    given_up = sent_in_part(tmp_path / f".1{ARRIVING}", silent_s=61)
    coming = sent_in_part(tmp_path / f".2{ARRIVING}", silent_s=50)
    files.place("old").write_bytes(b"x" * 10)
    os.utime(files.place("old"), (1, 1))
    files.place("new").write_bytes(b"x" * 10)
    files.make_room(5)
    assert not given_up.exists() and files.place("old").exists()
    files.make_room(6)
    assert coming.exists() and not files.place("old").exists() and files.place("new").exists()


def test_a_part_that_is_gone_once_it_is_looked_at_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / f".1{ARRIVING}").symlink_to(tmp_path / "complete under another name")
    sent_in_part(tmp_path / "old", silent_s=1000)
    SharedFiles(tmp_path, most_bytes=5, lease_s=60.0).make_room(5)
    assert not (tmp_path / "old").exists()


@pytest.mark.parametrize("lease_s", [300.0, 0.5])
def test_a_checkpoint_that_was_sent_in_part_does_not_stay(machine: Any, tmp_path: Path, lease_s: float) -> None:
    """Neither when the job is cancelled on its way, nor when nobody sends any more."""
    keeper, ended = machine(lease_s=lease_s).keeper, threading.Event()
    keeper._end = lambda status: ended.set()
    keeper.arrive()
    note = Note("base/base.ckpt", 7, "0" * 64)
    keeper.expect([], keeper.lacking([note]))
    keeper.put([Piece(f"shared/{note.sha256}", 0, b"wei")])
    assert len(list((tmp_path / "a" / "files").iterdir())) == 1
    if lease_s > 1:
        keeper.close()
    else:
        assert ended.wait(10)
    assert list((tmp_path / "a" / "files").iterdir()) == []


# -- the trip


def test_sd_scripts_do_not_travel(trip: Any) -> None:
    with pytest.raises(InvalidSettings):
        task_of({**to_json(trip().task), "engine": "kohya"})


def test_caches_stay_and_only_what_the_work_needs_goes(trip: Any, tmp_path: Path) -> None:
    one = trip()
    for name in ("cache/latents.bin", "photos/a.jpg", "avatar.json"):
        path = one.task.avatar_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1")
    luggage = pack(one.task, one.folder, "/n", Ledger())
    names = {note.path for note in (*luggage.own, *luggage.shared)}
    assert "avatar/photos/a.jpg" in names and "avatar/cache/latents.bin" not in names
    assert {"base/avatar-tiny.safetensors", "base/avatar-tiny.yaml", "photos/0000.jpg"} <= names
    assert not any(name.endswith("w600k_mbf.onnx") for name in names)


def test_the_card_of_this_machine_is_given_away_at_once(trip: Any) -> None:
    one = trip()
    one.heeding.control.ask(YIELD)
    one.heeding.look()
    one.heeding.control.withdraw(YIELD)
    one.heeding.look()
    assert events(one.folder) == [Parked(True, 0.0), Parked(False, 0.0)]


def test_a_pause_before_the_work_has_begun_is_taken_here(trip: Any) -> None:
    one = trip()
    one.heeding.control.ask(PAUSE)
    with pytest.raises(PauseTaken):
        one.heeding.stop_before_start()


def test_a_machine_that_hears_nothing_ends_the_job_and_keeps_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv(node_side.FOLDER_VARIABLE, str(tmp_path))
    ended = threading.Event()
    keeper = NodeJob("job1", 0.5, end=lambda status: ended.set())
    keeper.arrive()
    assert (tmp_path / "jobs" / "job1").is_dir()
    assert ended.wait(10)
    assert list((tmp_path / "jobs").iterdir()) == []


def test_what_a_lost_keeper_left_is_swept(tmp_path: Path) -> None:
    left, kept = tmp_path / "left", tmp_path / "kept"
    for folder in (left, kept):
        folder.mkdir()
        (folder / "lock").touch()
    with (kept / "lock").open() as held:
        import fcntl

        fcntl.flock(held, fcntl.LOCK_EX)
        node_side.sweep(tmp_path)
    assert not left.exists() and kept.exists()


def test_a_job_that_comes_is_not_swept_away_by_another_that_comes_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(node_side.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(node_side, "refuse_unfit", lambda python: None)
    first, second = (NodeJob(name, 300.0, end=lambda status: None) for name in ("job1", "job2"))
    reached, lock = threading.Event(), node_side.try_lock

    def slow(handle: int) -> bool:
        if threading.current_thread().name == "slow" and os.fstat(handle).st_ino == _inode(tmp_path / "jobs/job1/lock"):
            reached.set()
            time.sleep(0.5)
        return lock(handle)

    monkeypatch.setattr(node_side, "try_lock", slow)
    coming = threading.Thread(target=first.arrive, name="slow")
    coming.start()
    assert reached.wait(10)
    second.arrive()
    coming.join()
    assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == ["job1", "job2"]
    assert (tmp_path / "jobs" / "job1" / "job").is_dir()


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else -1


def arrived(machine: Any) -> tuple[NodeJob, Path]:
    """A keeper whose worker has ended, and the job's folder there."""
    keeper: NodeJob = machine().keeper
    job = Path(keeper.arrive().home) / "job"
    (job / "artifacts").mkdir()
    return keeper, job


def test_hashes_of_a_state_are_not_reckoned_again(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, job = arrived(machine)
    storing.write(job / "state", {"step": 3}, {"weights": torch.ones(5)})
    read: list[str] = []
    monkeypatch.setattr(parcels, "sha256_of", lambda path: read.append(path.name) or sha256_of(path))
    news = keeper.news(0, 0, [])
    assert read == ["complete.json"]
    assert news.notes[-1].path == "job/state/complete.json" and len(news.notes) == 2
    for note in news.notes:
        path = job.parent / note.path
        assert (note.size, note.sha256) == (path.stat().st_size, sha256_of(path))


def test_news_come_while_large_files_are_read_and_the_end_when_all_were(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, job = arrived(machine)
    (job / "artifacts" / "large.safetensors").write_bytes(b"x")
    (job / "events.jsonl").write_bytes(b'{"at": 1}\n')
    go_on = threading.Event()
    monkeypatch.setattr(parcels, "sha256_of", lambda path: go_on.wait(20) and sha256_of(path))
    monkeypatch.setattr(node_side, "LOOK_S", 0.1)
    began = time.monotonic()
    news = keeper.news(0, 0, [CANCEL])
    assert time.monotonic() - began < 5 and news.events and (job / "control" / CANCEL).exists()
    assert news.running and not news.looked and news.notes == ()
    go_on.set()
    monkeypatch.setattr(node_side, "LOOK_S", 20.0)
    news = keeper.news(0, 0, [])
    assert news.looked and not news.running
    assert [note.path for note in news.notes] == ["job/artifacts/large.safetensors"]


def test_a_wish_reaches_the_work_while_files_are_fetched(trip: Any, machine: Any) -> None:
    one, place = trip(), machine()
    job = Path(place.keeper.arrive().home) / "job"
    (job / "artifacts").mkdir()
    (job / "artifacts" / "a.png").write_bytes(b"x")
    following, read = Following(place, one), place.keeper.read

    def reads(spans: Any) -> list[Piece]:
        one.heeding.control.ask(CANCEL)
        found: list[Piece] = read(spans)
        return found

    place.keeper.read = reads
    following._fetch_job(place.ask("news", 0, 0, []))
    assert (job / "control" / CANCEL).exists()
    assert (one.folder / "artifacts" / "a.png").read_bytes() == b"x"


@pytest.mark.slow
def test_a_training_pauses_on_one_machine_and_ends_on_another(trip: Any, machine: Any, tmp_path: Path) -> None:
    """Everything that was made is here, under our paths, and nothing is left there."""
    one = trip(steps=30)
    first = machine("a")
    one.send(first)
    asker = threading.Thread(target=_ask_at_first_step, args=(one.folder, PAUSE))
    asker.start()
    with pytest.raises(PauseTaken) as paused:
        Following(first, one).to_the_end()
    asker.join()
    first.end()
    assert 0 < paused.value.step < 30
    assert (one.folder / "state" / "complete.json").is_file()
    assert not (tmp_path / "a" / "jobs" / "job1").exists()
    Control(one.folder).withdraw(PAUSE)
    second = machine("b")
    one.send(second)
    result = Following(second, one).to_the_end()
    second.end()
    forget(one.folder)
    assert all(Path(file).is_file() and Path(file).parent == tmp_path / "Lora" for file in result["files"])
    assert Path(result["report"]).is_file() and str(tmp_path / "b") not in json.dumps(result)
    assert str(tmp_path / "b") not in (one.folder / "artifacts" / "report.json").read_text()
    assert (tmp_path / "avatar" / "dataset" / "manifest.json").is_file()
    told = [event.message for event in events(one.folder) if isinstance(event, Log)]
    assert any(f"Going on from step {paused.value.step} of 30" in message for message in told)
    assert len(list((tmp_path / "b" / "files").iterdir())) == 4
    steps = [event.step for event in events(one.folder) if isinstance(event, Progress)]
    assert max(steps) == 30
    assert [event.name for event in events(one.folder) if isinstance(event, Stage)].count("train") == 2


def _ask_at_first_step(folder: Path, wish: str) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and not any(isinstance(event, Progress) for event in events(folder)):
        time.sleep(0.1)
    Control(folder).ask(wish)
