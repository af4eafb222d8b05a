"""The index of jobs: whatever happens to its file, lists tell what the directories say, and read what they must."""
from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from personal_avatar.errors import Crashed, NotFound
from personal_avatar.jobs import account, catalogue, index
from personal_avatar.jobs.events import Done, EventWriter, Paused, Progress, Stage, Started
from personal_avatar.jobs.rows import ORDER, Wish
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job, JobStore

LABELS = {"title": "t", "user_id": "u", "avatar_id": "a"}
PACKAGE = Path(index.__file__).resolve().parents[2]


@pytest.fixture()
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(tmp_path / "jobs")
    yield store
    store.close()


def file_of(store: JobStore) -> Path:
    return store._folder / "index.sqlite"


def create(store: JobStore, kind: str = "train", **labels: str) -> Job:
    return store.create(kind, {}, **{**LABELS, **labels})


def ended(store: JobStore, **labels: str) -> Job:
    """A job with a result, as one that ran leaves it."""
    job = create(store, **labels)
    emit = EventWriter(store.folder(job.id))
    store.move(job.id, State.RUNNING)
    emit(Done({"x": job.id}))
    store.move(job.id, State.SUCCEEDED)
    return job


# -- damage


def remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def scribble(path: Path) -> None:
    path.write_bytes(b"no database at all" * 500)


def flip(path: Path) -> None:
    """Other letters in the rows themselves, which SQLite cannot notice."""
    for file in (path, path.with_name(path.name + "-wal")):
        if file.exists():
            data = file.read_bytes()
            with file.open("rb+") as handle:
                handle.write(data.replace(b"succeeded", b"succEEded").replace(b"queued", b"quEUed"))


def change_table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE jobs")
    db.close()


def forge(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE jobs SET state = 'failed', title = 'forged'")
    db.close()


def forget_rows(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM jobs")
    db.close()


DAMAGE = [remove, cut, empty, scribble, flip, change_table, forge]


@pytest.mark.parametrize("open_meanwhile", [True, False], ids=["open", "closed"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_index_tells_nothing_that_the_directories_do_not(
    store: JobStore, damage: Callable[[Path], None], open_meanwhile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.1)
    jobs = [ended(store), create(store), create(store, user_id="v")]
    expected = {jobs[0].id: "succeeded", jobs[1].id: "queued", jobs[2].id: "queued"}
    if not open_meanwhile:
        store.close()
    damage(file_of(store))
    assert {view.job.id: view.status.state.value for view in store.views()} == expected
    assert {view.job.title for view in store.views()} == {"t"}
    assert store.count(states=[State.QUEUED]) == 2
    later = create(store)
    assert [view.job.id for view in store.views(limit=1)] == [later.id]
    assert {view.job.id for view in JobStore(store._folder).views()} == {*expected, later.id}


class Machine(RuleBasedStateMachine):
    """Two programs on one folder, one model of what is there, and an index that comes to harm at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name) / "jobs"
        self.model: dict[str, tuple[str, State]] = {}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.place.cleanup()

    @initialize()
    def opens(self) -> None:
        self.stores = [JobStore(self.folder), JobStore(self.folder)]

    def any_id(self, number: int) -> str | None:
        ids = sorted(self.model)
        return ids[number % len(ids)] if ids else None

    @rule(who=st.integers(0, 1), user=st.sampled_from("uv"))
    def creates(self, who: int, user: str) -> None:
        self.model[create(self.stores[who], user_id=user).id] = (user, State.QUEUED)

    @rule(who=st.integers(0, 1), number=st.integers(0, 99), ends=st.booleans())
    def moves(self, who: int, number: int, ends: bool) -> None:
        job_id = self.any_id(number)
        if job_id is not None and self.model[job_id][1] is State.QUEUED:
            wanted = State.CANCELLED if ends else State.RUNNING
            self.stores[who].move(job_id, wanted)
            self.model[job_id] = (self.model[job_id][0], wanted)

    @rule(who=st.integers(0, 1), number=st.integers(0, 99))
    def deletes(self, who: int, number: int) -> None:
        job_id = self.any_id(number)
        if job_id is not None and self.model[job_id][1] is State.CANCELLED:
            self.stores[who].delete(job_id)
            del self.model[job_id]

    @rule(number=st.integers(0, 99))
    def is_removed_by_hand(self, number: int) -> None:
        job_id = self.any_id(number)
        if job_id is not None:
            shutil.rmtree(self.folder / job_id)
            del self.model[job_id]

    @rule(damage=st.sampled_from(DAMAGE))
    def comes_to_harm(self, damage: Callable[[Path], None]) -> None:
        path = self.folder / "index.sqlite"
        try:
            damage(path)
        except (OSError, sqlite3.Error):  # it is not there, or damaged already
            return

    @rule(who=st.integers(0, 1))
    def is_opened_again(self, who: int) -> None:
        self.stores[who].close()
        self.stores[who] = JobStore(self.folder)

    @invariant()
    def both_tell_what_is_there(self) -> None:
        for store in self.stores:
            found = {view.job.id: (view.job.user_id, view.status.state) for view in store.views()}
            assert found == self.model
            queued = sum(state is State.QUEUED for _, state in self.model.values())
            assert store.count(states=[State.QUEUED]) == queued
            assert len(store.views(user_id="v")) == sum(user == "v" for user, _ in self.model.values())


Machine.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


class TestAnyOrder(Machine.TestCase):
    """With a look at the disk at every call, so that nothing has to be waited for."""

    @pytest.fixture(autouse=True)
    def _always_look(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(catalogue, "LOOK_S", -1.0)


# -- other programs


@contextmanager
def program(folder: Path, body: str) -> Iterator[subprocess.Popen[str]]:
    """A real second program with a store on the same folder; it says "ready" and waits for a line."""
    script = f"""
import sys
sys.path.insert(0, {str(PACKAGE)!r})
from pathlib import Path
from personal_avatar.jobs.store import JobStore
from personal_avatar.jobs.states import State
from personal_avatar.jobs import index
folder = Path({str(folder)!r})
store = JobStore(folder)
labels = {LABELS!r}
{body}
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def within_a_second(look: Callable[[], bool]) -> bool:
    end = time.monotonic() + 1.0
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("shares", [True, False], ids=["by the index", "by the directories alone"])
def test_what_another_program_does_is_seen_within_a_second(store: JobStore, shares: bool) -> None:
    first = create(store)
    alone = "" if shares else "index.remote = lambda folder: True\n"
    body = alone + """
job = store.create("train", {}, **labels)
store.move(sys.stdin.readline().strip(), State.RUNNING)
print(job.id, flush=True)
sys.stdin.readline()
store.move(job.id, State.CANCELLED)
store.delete(job.id)
print("deleted", flush=True)
sys.stdin.readline()
"""
    with program(store._folder, body) as child:
        assert child.stdin is not None
        print(first.id, file=child.stdin, flush=True)
        made = line(child)
        assert within_a_second(lambda: [view.job.id for view in store.views()] == [made, first.id])
        assert within_a_second(lambda: store.count(states=[State.RUNNING]) == 1)
        print("go on", file=child.stdin, flush=True)
        assert line(child) == "deleted"
        assert within_a_second(lambda: store.ids() == [first.id])


def test_while_another_program_holds_the_index_lists_are_right(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.05)
    first = create(store)
    store.close()
    with sqlite3.connect(file_of(store), isolation_level=None) as db:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        second = create(store)
        store.move(first.id, State.RUNNING)
        assert [(view.job.id, view.status.state) for view in store.views()] == [
            (second.id, State.QUEUED), (first.id, State.RUNNING),
        ]
        assert "locked" in store.index_trouble
        db.execute("ROLLBACK")
    db.close()
    monkeypatch.setattr(store._catalogue._index, "_retry_at", 0.0)
    assert store.count(states=ACTIVE) == 2 and not store._catalogue.in_memory


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits stand for a full disk")
def test_where_the_index_cannot_grow_nothing_is_lost(store: JobStore) -> None:
    body = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
made = [store.create("train", {}, **labels).id for _ in range(3)]
assert [view.job.id for view in store.views()] == made[::-1], store.views()
assert store.move(made[0], State.RUNNING).state is State.RUNNING
assert store.count(states=[State.QUEUED]) == 2
print(store._catalogue.in_memory, *made, flush=True)
"""
    with program(store._folder, body) as child:
        in_memory, *made = line(child).split()
    assert in_memory == "True"
    assert {view.job.id: view.status.state for view in store.views()} == {
        made[0]: State.RUNNING, made[1]: State.QUEUED, made[2]: State.QUEUED,
    }


@pytest.mark.slow
def test_programs_that_make_jobs_at_the_same_time_lose_none(store: JobStore) -> None:
    body = "print(*[store.create('train', {}, **labels).id for _ in range(15)], flush=True)"
    with program(store._folder, body) as one, program(store._folder, body) as two:
        mine = [create(store).id for _ in range(15)]
        made = {*mine, *line(one).split(), *line(two).split()}
    assert len(made) == 45
    assert {view.job.id for view in store.views()} == made == set(JobStore(store._folder).ids())


def test_on_a_network_folder_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [SimpleNamespace(mountpoint="/", fstype="ext4"), SimpleNamespace(mountpoint=str(tmp_path), fstype="nfs4")]
    monkeypatch.setattr(index.psutil, "disk_partitions", lambda all: mounts)
    store = JobStore(tmp_path / "jobs")
    job = create(store)
    assert store.ids() == [job.id] and not file_of(store).exists()
    monkeypatch.setattr(index.psutil, "disk_partitions", lambda all: mounts[:1])
    assert not index.remote(tmp_path)


# -- what it costs


class Opens:
    """Counts files that are opened for reading and writing, by name."""

    def __init__(self) -> None:
        self.counting, self.names = False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple) -> None:
        if self.counting and event == "open" and isinstance(arguments[0], str):
            self.names.append(os.path.basename(arguments[0]))

    def during(self, work: Callable[[], object]) -> list[str]:
        self.names, self.counting = [], True
        try:
            work()
        finally:
            self.counting = False
        return self.names


OPENS = Opens()


def test_lists_open_no_files_of_jobs_that_were_shown_before(store: JobStore) -> None:
    for _ in range(8):
        ended(store)
    running = create(store)
    store.move(running.id, State.RUNNING)
    waiting = create(store, "create")
    calls: list[Callable[[], object]] = [
        lambda: store.views(limit=5), lambda: store.views(states=ACTIVE), lambda: store.count(user_id="u"),
        lambda: store.views(user_id="u", states=[State.SUCCEEDED]), lambda: store.view(waiting.id), store.ids,
    ]
    store.views()
    for call in calls:
        assert OPENS.during(call) == []
    EventWriter(store.folder(running.id))(Progress(1, 9))
    assert set(OPENS.during(lambda: store.views(limit=5))) <= {"status.json", "events.jsonl"}
    assert store.view(running.id).step == 1


def test_a_program_that_starts_opens_only_what_it_shows(store: JobStore) -> None:
    for _ in range(8):
        ended(store)
    store.close()
    again = JobStore(store._folder)
    names = OPENS.during(lambda: again.views(limit=2))
    assert names.count("job.json") == 2 and names.count("events.jsonl") == 2 and "status.json" not in names


def test_a_view_reads_only_new_events(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job, parsed = create(store), list[str]()
    emit, parse = EventWriter(store.folder(job.id)), account.parse
    for step in range(200):
        emit(Progress(step, 300))
    assert store.view(job.id).step == 199

    def counting(text: str) -> object:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(account, "parse", counting)
    emit(Progress(200, 300))
    assert store.view(job.id).step == 200 and len(parsed) == 1


@pytest.mark.parametrize(("paused_at", "shown"), [(7, 7), (0, 5), (40, 5)])
def test_a_paused_job_shows_the_step_at_which_it_paused(store: JobStore, paused_at: int, shown: int) -> None:
    """Not every step is told; and in a part with another count, that of the training means nothing."""
    job = create(store)
    emit = EventWriter(store.folder(job.id))
    for event in (Started(1), Stage("train"), Progress(5, 9), Paused(paused_at)):
        emit(event)
    assert (store.view(job.id).step, store.view(job.id).total_steps) == (shown, 9)


@pytest.mark.parametrize("cut_by", [1, 30])
def test_a_torn_event_is_read_when_it_is_whole_and_a_cut_file_from_its_beginning(store: JobStore, cut_by: int) -> None:
    job = create(store)
    emit = EventWriter(store.folder(job.id))
    for event in (Started(1), Progress(1, 9), Progress(2, 9)):
        emit(event)
    assert store.view(job.id).step == 2
    path = store.folder(job.id) / "events.jsonl"
    os.truncate(path, path.stat().st_size - cut_by)
    assert store.view(job.id).step == 1
    later = EventWriter(store.folder(job.id))
    later(Progress(7, 9))
    later(Done({"y": "a longer line than was cut away"}))
    assert (store.view(job.id).step, store.view(job.id).result) == (7, {"y": "a longer line than was cut away"})


LISTS = [
    Wish(limit=50), Wish(user_id="u", limit=50), Wish(states=frozenset({State.FAILED}), limit=50),
    Wish(user_id="u", states=frozenset({State.QUEUED})), Wish(kind="train", states=ACTIVE), Wish(avatar_id="a"),
    Wish(kind="train", limit=1), Wish(before=(1.0, "b"), limit=50), Wish(request_key="k", limit=1),
]


@pytest.mark.parametrize("wish", LISTS, ids=range(len(LISTS)))
def test_every_list_is_chosen_by_an_index(wish: Wish) -> None:
    """What takes as long as there are jobs would be a scan of the table, whose rows are wide."""
    db = index._connect(":memory:")
    where, values = wish.where()
    for what, more in (("id", f"{ORDER} LIMIT 50"), ("COUNT(*)", "")):
        sql = f"SELECT {what} FROM jobs WHERE {where} {more}"
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        assert not [step for step in plan if step == "SCAN jobs" or "PRIMARY KEY" in step], plan
    db.close()


# -- pages, filters, forgetting


def test_lists_are_read_page_by_page(store: JobStore) -> None:
    ids = [create(store).id for _ in range(7)][::-1]
    pages, last = list[list[str]](), None
    while page := [view.job.id for view in store.views(limit=3, before=last)]:
        pages.append(page)
        last = page[-1]
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    for unknown in ("nobody", "../x", ""):
        with pytest.raises(NotFound):
            store.views(before=unknown)


def test_filters_hold_together(store: JobStore) -> None:
    mine, other = create(store, user_id="u"), create(store, "create", user_id="v", avatar_id="b")
    store.move(other.id, State.RUNNING)
    assert [view.job.id for view in store.views(user_id="v", states=[State.RUNNING], kind="create")] == [other.id]
    assert store.views(user_id="v", kind="train") == [] == store.views(states=[])
    assert [view.job.id for view in store.views(avatar_id="a")] == [mine.id]
    assert (store.count(), store.count(user_id="u"), store.count(states=[State.RUNNING], kind="train")) == (2, 1, 0)


def test_nothing_of_a_deleted_job_stays_in_the_files_of_the_index(store: JobStore) -> None:
    job = create(store, title="Marguerite")
    kept = create(store, title="Theodora")
    store.fail(job.id, Crashed("x"))
    store.delete(job.id)
    told = b"".join(path.read_bytes() for path in store._folder.glob("index.sqlite*"))
    assert b"Marguerite" not in told and b"Theodora" in told
    assert store.ids() == [kept.id]


def test_an_index_that_cannot_forget_is_thrown_away(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BUSY_S", 0.05)
    store.close()
    job = create(store, title="Marguerite")
    store.fail(job.id, Crashed("x"))
    with sqlite3.connect(file_of(store), isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        store.delete(job.id)
        assert not file_of(store).exists()
    db.close()
    assert store.ids() == []


def test_a_rebuilt_index_holds_the_same(store: JobStore) -> None:
    for user in "uvw":
        ended(store, user_id=user)
    before = store.views()
    forget_rows(file_of(store))
    assert store.rebuild() == 3 and store.views() == before


def test_jobs_that_were_made_without_an_index_are_found(store: JobStore) -> None:
    """As an older version, or a copied data folder, leaves them."""
    jobs = [ended(store) for _ in range(3)]
    store.close()
    for path in store._folder.glob("index.sqlite*"):
        path.unlink()
    assert JobStore(store._folder).ids() == [job.id for job in jobs]


def test_a_table_that_took_the_place_of_another_is_never_taken_for_it(store: JobStore) -> None:
    """A new connection may lie in memory where the old one lay, with as many changes."""
    seen = []
    for _ in range(20):
        store.rebuild()
        seen.append(store._catalogue.version())
    assert len(set(seen)) == len(seen)
