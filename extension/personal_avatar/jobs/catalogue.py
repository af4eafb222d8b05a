"""The directories of jobs and their index, kept the same. The directories are the truth.

Every answer comes from the index, after a look at what has changed on the disk: directories that came or went, and in
turn the files of all jobs, those that have not ended first. Whatever is given out is compared with its files once more.
So a job that another program has made, moved or deleted is seen, also when that program could not write to the index.
"""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from personal_avatar.jobs.index import Index, IndexLost
from personal_avatar.jobs.kept import EVENTS_FILE, JOB_FILE, STATUS_FILE
from personal_avatar.jobs.rows import Row, Wish

T = TypeVar("T")
INDEX_FILE = "index.sqlite"
LOOK_S = 0.25  # the disk is looked at this often
SETTLED_S = 2.0  # after which a folder's time tells for sure that nothing came or went
ACTIVE_A_LOOK, ANY_A_LOOK = 250, 50  # jobs that are compared with their files, in turn
CHECKED = 500  # jobs of one answer that are compared with their files
AT_ONCE = 500  # rows in one transaction
TRIES = 5


class Catalogue:
    """`read(job_id, known)`: a job's row as its directory says, None when it is gone. Safe to use from several threads.

    `folder`: that of all jobs.
    """

    def __init__(self, folder: Path, read: Callable[[str, Row | None], Row | None]) -> None:
        self._folder, self._read = folder, read
        self._lock = threading.RLock()
        self._index = Index(folder / INDEX_FILE)
        self._looked_at = 0.0
        self._listed_ns = 0
        self._turn_of_active, self._turn_of_any = "", ""

    # -- asking

    def rows(self, wish: Wish) -> list[Row]:
        """Jobs, newest first, as they are now."""
        def ask() -> list[Row]:
            found = self._index.rows(wish)
            if self._refresh([row for row in found[:CHECKED] if self._is_stale(row)]):
                found = self._index.rows(wish)
            return found
        return self._ask(ask)

    def row(self, job_id: str) -> Row | None:
        """One job as it is now."""
        def ask() -> Row | None:
            row = self._index.row(job_id)
            if row is None or self._is_stale(row):
                self._put([job_id], {job_id: row})
                row = self._index.row(job_id)
            return row
        return self._ask(ask)

    def known(self, job_id: str) -> Row | None:
        """One job as it was seen last."""
        return self._ask(lambda: self._index.row(job_id))

    def count(self, wish: Wish) -> int:
        return self._ask(lambda: self._index.count(wish))

    def query(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """What the table `jobs` answers; see rows.Row for its columns."""
        return self._ask(lambda: self._index.ask(sql, values))

    def version(self) -> tuple[int, ...]:
        """Another one whenever a job may have changed."""
        return self._ask(self._index.version)

    # -- telling

    def note(self, job_id: str) -> None:
        """A job was made or has changed; nothing of one that was deleted stays in the index."""
        self._tell(lambda: self._put([job_id], {}))

    def rebuild(self) -> int:
        """Make the index anew from the directories; returns the number of jobs."""
        with self._lock:
            self._index.discard()
            return self.count(Wish())

    @property
    def trouble(self) -> str:
        """Why the index was made anew or cannot be used, "" when all is well."""
        return self._index.trouble

    @property
    def in_memory(self) -> bool:
        return self._index.in_memory

    def close(self) -> None:
        with self._lock:
            self._index.close()

    def _ask(self, question: Callable[[], T]) -> T:
        with self._lock:
            for _ in range(TRIES):
                try:
                    self._look()
                    return question()
                except IndexLost:
                    continue
        raise OSError(f"The index of jobs cannot be kept, not even in memory: {self._index.trouble}")

    def _tell(self, change: Callable[[], None]) -> None:
        """What cannot be told is seen at the next look, as the index is another one then."""
        with self._lock:
            try:
                if not self._index.ready():
                    self._looked_at = 0.0
                    self._look_at_all()
                change()
            except IndexLost:
                return

    # -- looking

    def _look(self) -> None:
        """Bring the index up to date, as far as needed."""
        if not self._index.ready():
            self._look_at_all()
        elif time.monotonic() - self._looked_at > LOOK_S:
            self._list()
            self._look_in_turn()
            self._looked_at = time.monotonic()

    def _look_at_all(self) -> None:
        self._listed_ns = 0
        self._list()
        seen = self._index.ask("SELECT id, status_stamp, events_stamp FROM jobs")
        self._put([row[0] for row in seen if self._differs(*row)], {})
        self._looked_at = time.monotonic()

    def _list(self) -> None:
        """See which directories came and went; left out while the time of the folder says that none did."""
        try:
            changed_ns, now_ns = os.stat(self._folder).st_mtime_ns, time.time_ns()
        except OSError:
            changed_ns, now_ns = 0, 0
        if changed_ns and changed_ns == self._listed_ns:
            return
        known = {row[0] for row in self._index.ask("SELECT id FROM jobs")}
        there = set(self.names())
        self._put(sorted((there - known) | (known - there)), {})
        self._listed_ns = changed_ns if now_ns - changed_ns > SETTLED_S * 1e9 else 0

    def path(self, job_id: str) -> Path:
        return self._folder / job_id

    def names(self) -> list[str]:
        """Of folders that may be jobs."""
        try:
            return [name for name in os.listdir(self._folder) if name.isalnum()]
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _look_in_turn(self) -> None:
        """Jobs that have not ended by their stamps, all others whole, as nobody may ask for them for long."""
        active = self._index.active_stamps(self._turn_of_active, ACTIVE_A_LOOK)
        self._turn_of_active = active[-1][0] if len(active) == ACTIVE_A_LOOK else ""
        self._put([row[0] for row in active if self._differs(*row)], {})
        rows = self._index.some(self._turn_of_any, ANY_A_LOOK)
        self._turn_of_any = rows[-1].id if len(rows) == ANY_A_LOOK else ""
        self._refresh([row for row in rows if self._is_stale(row)])

    def _is_stale(self, row: Row) -> bool:
        return self._differs(row.id, row.status_stamp, row.events_stamp)

    def _differs(self, job_id: str, status_stamp: str, events_stamp: str) -> bool:
        return not status_stamp or (status_stamp, events_stamp) != self._stamps(job_id)

    def _stamps(self, job_id: str) -> tuple[str, str]:
        return stamps(os.path.join(self._folder, job_id))

    def _refresh(self, rows: list[Row]) -> bool:
        """Read these again; whether there was anything to read."""
        self._put([row.id for row in rows], {row.id: row for row in rows})
        return bool(rows)

    def _put(self, ids: list[str], known: dict[str, Row | None]) -> None:
        """Read directories and write their rows; one whose status changes meanwhile is read again."""
        if not ids:
            return
        old = {job_id: known[job_id] if job_id in known else self._index.row(job_id) for job_id in ids}
        new = {job_id: self._read(job_id, row) for job_id, row in old.items()}

        def latest(row: Row) -> Row | None:
            if row.status_stamp and row.status_stamp == self._stamps(row.id)[0]:
                return row
            return self._read(row.id, row)

        gone = [job_id for job_id, row in new.items() if row is None and old[job_id] is not None]
        if gone:
            self._index.drop(gone)
        rows = [row for row in new.values() if row is not None]
        for start in range(0, len(rows), AT_ONCE):
            self._index.put(rows[start:start + AT_ONCE], latest)


def stamp(path: Path | str) -> str:
    """Which state of a file this is; "" when it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return ""
    return f"{found.st_ino}:{found.st_size}:{found.st_mtime_ns}"


def stamps(folder: Path | str) -> tuple[str, str]:
    """Of what a job is and where it stands, "" when one of the two files is not there; and of its events."""
    whole = stamp(os.path.join(folder, JOB_FILE)), stamp(os.path.join(folder, STATUS_FILE))
    return " ".join(whole) if all(whole) else "", stamp(os.path.join(folder, EVENTS_FILE))


def same_file(old: str, new: str) -> bool:
    """Whether two stamps are of one file, that may have grown meanwhile."""
    return bool(old) and old.split(":")[0] == new.split(":")[0]
