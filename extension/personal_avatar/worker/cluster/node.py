"""A job on a machine of a cluster: its folder there, its worker, what is new of it.

The Python that Ray runs on need not have our packages: this file and what it imports stand on the standard library. The
work itself is done by the Python that `$PERSONAL_AVATAR_NODE_PYTHON` names, else by the same one.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.errors import BadInput, TrainerMissing
from personal_avatar.jobs.kept import (
    ARTIFACTS_FOLDER,
    CONTROL_FOLDER,
    EVENTS_FILE,
    JOB_FILE,
    LOG_FILE,
    STATE_COMPLETE,
    STATE_FOLDER,
)
from personal_avatar.problems import stated
from personal_avatar.storage import try_lock, write_bytes
from personal_avatar.training.storing import parts
from personal_avatar.worker.cluster import parcels
from personal_avatar.worker.cluster.parcels import Inbox, Ledger, Note, Piece, Span, cut, inside
from personal_avatar.worker.cluster.shared import SharedFiles

FOLDER_VARIABLE, PYTHON_VARIABLE = "PERSONAL_AVATAR_NODE_FOLDER", "PERSONAL_AVATAR_NODE_PYTHON"
JOB, AVATAR, PUBLISHED = "job", "avatar", "published"
RESULTS = (f"{AVATAR}/dataset", PUBLISHED)
TIED = "personal_avatar.worker.cluster.tied"
GRACE_S = 10.0  # for a worker that was asked to end
LOOK_S = 2.0  # that news wait for a look at files
LOG_BYTES = parcels.PIECE_BYTES
NEEDS = "torch", "diffusers", "peft", "transformers", "safetensors", "pydantic", "numpy", "PIL", "psutil", "onnxruntime"
_LACKING = (
    "import importlib.util as u, json, platform, sys; "
    "print(json.dumps([platform.python_version(), [n for n in sys.argv[1:] if u.find_spec(n) is None]]))"
)


@dataclass(frozen=True)
class Arrival:
    """Where the job has come to: name of the machine, the job's folder on it, a folder there for what all
    trainings share and that tells of nobody, and the bytes that are free."""

    machine: str
    home: str
    cache: str
    free_bytes: int


@dataclass(frozen=True)
class News:
    """What is new since the last time: whole lines of events and how many bytes they are, text of the log; `notes`:
    the files that can be fetched now, those of a complete state last, when they were `looked` at already; `exit_code`:
    of the worker when it has ended."""

    events: bytes
    log: bytes
    notes: tuple[Note, ...]
    running: bool
    exit_code: int | None = None
    looked: bool = True


class NodeJob:
    """One job on this machine. When its agent has not asked for `lease_s` seconds, it goes, and with it the process:
    `end` is how a thread ends its own process."""

    def __init__(self, job_id: str, lease_s: float, end: Callable[[int], object] = os._exit) -> None:
        self._root = Path(os.environ.get(FOLDER_VARIABLE) or default_folder())
        self._home = inside(self._root / "jobs", job_id)
        self._python = os.environ.get(PYTHON_VARIABLE) or sys.executable
        self._shared = SharedFiles.of_this_machine(self._root / "files", lease_s)
        self._ledger = Ledger()
        self._hands = ThreadPoolExecutor(1, "files")
        self._look: tuple[bool, Future[list[Note]]] | None = None
        self._seen: tuple[bool, tuple[Note, ...]] | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._inbox: Inbox | None = None
        self._lock_file: int | None = None
        self._lease_s, self._heard_at, self._end = lease_s, time.monotonic(), end
        threading.Thread(target=self._watch_lease, name="lease", daemon=True).start()

    # -- coming

    def arrive(self) -> Arrival:
        """An empty folder for the job. Raises `TrainerMissing` when this machine cannot do the work."""
        self._heard()
        refuse_unfit(self._python)
        with alone(self._root / "coming"):
            sweep(self._root / "jobs")
            shutil.rmtree(self._home, ignore_errors=True)
            (self._home / JOB).mkdir(parents=True)
            self._lock_file = os.open(self._home / "lock", os.O_CREAT | os.O_RDWR)
            try_lock(self._lock_file)
        free_bytes = shutil.disk_usage(self._home).free
        return Arrival(socket.gethostname(), str(self._home), str(self._root / "cache"), free_bytes)

    def lacking(self, shared: Sequence[Note]) -> list[Note]:
        """Those that this machine does not have yet, each content once."""
        self._heard()
        found = {note.sha256: note for note in shared if self._shared.find(note) is None}
        return list(found.values())

    def expect(self, own: Sequence[Note], shared: Sequence[Note]) -> None:
        """What comes next: files of the job under their names, shared ones under their hash. Raises `BadInput`."""
        self._heard()
        self._shared.make_room(parcels.refuse_too_much(shared))
        parcels.refuse_too_much(own)
        named = [Note(f"shared/{note.sha256}", note.size, note.sha256) for note in shared]
        self._inbox = Inbox(self._arriving, [*own, *named])

    def _arriving(self, name: str) -> Path:
        first, _, rest = name.partition("/")
        return inside(self._shared.place(""), rest) if first == "shared" else inside(self._home, name)

    def put(self, pieces: Sequence[Piece]) -> None:
        self._heard()
        if self._inbox is None:
            raise stated(BadInput, "failure.unexpected_files")
        self._inbox.take(pieces)

    def begin(self, job: bytes, shared: Sequence[Note], taken: Sequence[str]) -> None:
        """Start the worker. `job`: what its `job.json` says; `taken`: names that its results may not have."""
        self._heard()
        write_bytes(self._home / JOB / JOB_FILE, job)
        for note in shared:
            self._shared.lend(note, inside(self._home, note.path))
        for name in taken:
            path = inside(self._home / PUBLISHED, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        package = str(Path(__file__).resolve().parents[3])
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": package}
        command = [self._python, "-m", TIED, str(self._home / JOB)]
        with (self._home / JOB / LOG_FILE).open("ab") as log:
            self._child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, cwd=self._home
            )

    # -- going on

    def begun(self) -> tuple[str, int]:
        """The job's folder when its work was begun, else "", and the bytes of its log until now."""
        self._heard()
        log = self._home / JOB / LOG_FILE
        return (str(self._home), log.stat().st_size) if self._child is not None else ("", 0)

    def news(self, events_from: int, log_from: int, wishes: Collection[str]) -> News:
        """What is new behind those bytes. `wishes`: the names of all that are asked for now."""
        self._heard()
        self.heed(wishes)
        exit_code = self._child.poll() if self._child else None
        running = self._child is not None and exit_code is None
        job = self._home / JOB
        events = _from(job / EVENTS_FILE, events_from, LOG_BYTES)
        events = events[: events.rfind(b"\n") + 1]
        log = _from(job / LOG_FILE, log_from, LOG_BYTES)
        looked, notes = self._files(ended=not running)
        whole = not running and looked and len(events) < LOG_BYTES // 2
        return News(events, log, notes, running or not whole, exit_code, looked)

    def heed(self, wishes: Collection[str]) -> None:
        """`wishes`: the names of all that are asked for now."""
        self._heard()
        folder = self._home / JOB / CONTROL_FOLDER
        folder.mkdir(exist_ok=True)
        for path in folder.iterdir():
            if path.name not in wishes:
                path.unlink(missing_ok=True)
        for wish in wishes:
            inside(folder, wish).touch()

    def _files(self, ended: bool) -> tuple[bool, tuple[Note, ...]]:
        """Whether they were looked at, since the end when there is one, and what was seen last. To read large files
        takes minutes, in which whoever asks gets an answer all the same."""
        until = time.monotonic() + LOOK_S
        while True:
            of_end, look = self._look or (ended, self._hands.submit(self._notes, ended))
            self._look = of_end, look
            if not wait([look], max(0.0, until - time.monotonic())).done:
                break
            self._look = None
            self._seen = of_end, tuple(look.result())
            if of_end or not ended:
                break
        of_end, notes = self._seen or (False, ())
        return self._seen is not None and (of_end or not ended), notes

    def _notes(self, ended: bool) -> list[Note]:
        job, state = self._home / JOB, self._home / JOB / STATE_FOLDER
        try:
            kept = notes_of_state(state, self._ledger)  # first: it may rely on a checkpoint, which is there before it
        except FileNotFoundError:  # a newer state has taken its place; it comes with the next news
            kept = []
        found = self._ledger.below(job / ARTIFACTS_FOLDER, f"{JOB}/{ARTIFACTS_FOLDER}")
        if ended:
            for name in RESULTS:
                found += self._ledger.below(self._home / name, name)
        return found + kept

    def read(self, spans: Sequence[Span]) -> list[Piece]:
        """Contents of files that `news` told of. Raises `FileNotFoundError` when one was replaced meanwhile."""
        self._heard()
        return cut(spans, lambda name: inside(self._home, name))

    # -- ending

    def close(self) -> None:
        """End the worker, and keep nothing of the person here, nor parts of files that never arrived whole."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None
        shutil.rmtree(self._home, ignore_errors=True)
        if self._inbox is not None:
            self._inbox.drop()

    def _heard(self) -> None:
        self._heard_at = time.monotonic()

    def _watch_lease(self) -> None:
        while time.monotonic() - self._heard_at < self._lease_s:
            time.sleep(min(1.0, self._lease_s / 4))
        try:
            self.close()
        finally:
            self._end(0)


def default_folder() -> Path:
    """For those who did not name one: in the user's cache, where the machine has a home for the user."""
    with suppress(RuntimeError):
        return Path.home() / ".cache" / "personal-avatar-node"
    return Path(tempfile.gettempdir()) / "personal-avatar-node"


def refuse_unfit(python: str) -> None:
    """Raise `TrainerMissing` when that Python lacks what a training needs."""
    told = {"python": python, "machine": socket.gethostname(), "variable": PYTHON_VARIABLE}
    try:
        done = subprocess.run([python, "-c", _LACKING, *NEEDS], capture_output=True, text=True, timeout=120)
        _, lacking = json.loads(done.stdout.splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise stated(TrainerMissing, "failure.node_silent", "remedy.node", cause=error, **told) from None
    if lacking:
        raise stated(TrainerMissing, "failure.node_lacks", "remedy.node", packages=", ".join(lacking), **told)


def notes_of_state(folder: Path, ledger: Ledger) -> list[Note]:
    """Of the complete state, with the hashes that were written down with it; none without one. Raises
    `FileNotFoundError` when a newer one takes its place."""
    known = parts(folder)
    prefix = f"{JOB}/{folder.name}"
    found = [Note(f"{prefix}/{name}", (folder / name).stat().st_size, digest) for name, digest in known.items()]
    return [*found, ledger.note(folder / STATE_COMPLETE, f"{prefix}/{STATE_COMPLETE}")] if known else []


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process of this machine at a time, where a folder must not be swept away before it is locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        while not try_lock(handle):
            time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def sweep(jobs: Path) -> None:
    """Remove folders of jobs whose keeper is gone: nobody holds their lock."""
    for folder in jobs.glob("*"):
        try:
            handle = os.open(folder / "lock", os.O_RDWR)
        except OSError:
            continue
        free = try_lock(handle)
        os.close(handle)
        if free:
            shutil.rmtree(folder, ignore_errors=True)


def _from(path: Path, offset: int, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(most)
    except FileNotFoundError:
        return b""
