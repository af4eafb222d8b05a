"""The index of jobs: one SQLite table with what lists and the queue ask for. It can always be made anew.

Nothing here knows the directories of jobs; jobs/catalogue.py keeps both the same. A file that is damaged is thrown away
and one that cannot be used is left alone for a while, in favour of a table in memory: either way `IndexLost` is raised,
and whoever asked fills the table again and asks again. No error of SQLite leaves this module.
"""
from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import astuple
from pathlib import Path
from typing import Any, TypeVar

import psutil

from personal_avatar.jobs.rows import FORMAT, NAMES, ORDER, PUT, SCHEMA, UNENDED, Row, Wish, row_of, sum_of
from personal_avatar.storage import file_id

T = TypeVar("T")
BUSY_S = 2.0
RETRY_S = 15.0  # how long a file that could not be used is left alone
MEMORY = ":memory:"
Identity = tuple[tuple[int, int] | None, ...]
UNUSABLE = ("locked", "readonly", "read-only", "full", "unable to open", "disk i/o")
REMOTE = ("nfs", "cifs", "smb", "9p", "afs", "sshfs", "davfs", "glusterfs", "lustre", "ceph", "beegfs", "gpfs",
          "vboxsf", "vmhgfs", "prl_fs")


class IndexLost(Exception):
    """The table was replaced by an empty one: fill it and ask again."""


class Index:
    """The table in a file, or in memory where no file can be used. One connection, used by one thread at a time:
    whoever calls holds a lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._file: Identity | None = None
        self._retry_at = 0.0
        self._process = os.getpid()
        self._opened = 0  # how often; a connection may lie where one lay that was closed
        self.trouble = ""

    # -- asking; each raises IndexLost

    def rows(self, wish: Wish) -> list[Row]:
        """Jobs, newest first."""
        where, values = wish.where()
        limit = -1 if wish.limit is None else wish.limit
        chosen = f"SELECT id FROM jobs WHERE {where} {ORDER} LIMIT ?"  # by indexes alone, the rows are wide
        sql = f"SELECT * FROM jobs WHERE id IN ({chosen}) {ORDER}"
        return self._run(lambda db: [row_of(found) for found in db.execute(sql, [*values, limit])])

    def row(self, job_id: str) -> Row | None:
        sql = "SELECT * FROM jobs WHERE id = ?"
        return next(iter(self._run(lambda db: [row_of(found) for found in db.execute(sql, [job_id])])), None)

    def count(self, wish: Wish) -> int:
        where, values = wish.where()
        return int(self.ask(f"SELECT COUNT(*) FROM jobs WHERE {where}", values)[0][0])

    def ask(self, sql: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """What any other question finds."""
        return self._run(lambda db: db.execute(sql, list(values)).fetchall())

    def some(self, after: str, count: int) -> list[Row]:
        """The next jobs after an id: for looking at all of them in turn."""
        sql = "SELECT * FROM jobs WHERE id > ? ORDER BY id LIMIT ?"
        return self._run(lambda db: [row_of(found) for found in db.execute(sql, [after, count])])

    def active_stamps(self, after: str, count: int) -> list[tuple[str, str, str]]:
        """Id and stamps of the next jobs after an id that have not ended."""
        columns = "id, status_stamp, events_stamp"
        sql = f"SELECT {columns} FROM jobs INDEXED BY unended WHERE {UNENDED} AND id > ? ORDER BY id LIMIT ?"
        return self._run(lambda db: db.execute(sql, [after, count]).fetchall())

    def version(self) -> tuple[int, ...]:
        """Another one whenever anybody has written to the table, or it is another table."""
        def ask(db: sqlite3.Connection) -> tuple[int, ...]:
            return self._opened, int(db.execute("PRAGMA data_version").fetchone()[0]), db.total_changes
        return self._run(ask)

    # -- writing

    def put(self, rows: Iterable[Row], latest: Callable[[Row], Row | None]) -> None:
        """Write rows in one short transaction. `latest`: the row as it must be now, None for one that must go; asked
        inside, so that nobody's newer row is written over with an older one."""
        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                for old in rows:
                    new = latest(old)
                    if new is None:
                        db.execute("DELETE FROM jobs WHERE id = ?", [old.id])
                    else:
                        values = astuple(new)
                        db.execute(PUT, [*values, sum_of(values)])
        self._run(write)

    def drop(self, ids: Iterable[str]) -> None:
        """Forget jobs for good: nothing of them stays in the file. When that fails the file itself goes."""
        def write(db: sqlite3.Connection) -> None:
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.executemany("DELETE FROM jobs WHERE id = ?", [(one,) for one in ids])
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if self.in_memory:
            self._remove()
        try:
            self._run(write)
        except IndexLost:
            self._remove()
            raise

    # -- the file

    def ready(self) -> bool:
        """Whether the table is the one that was filled; False when another one, maybe empty, takes its place now."""
        if self._db is not None and self._in_place():
            return True
        self.close()
        self._open()
        return False

    @property
    def in_memory(self) -> bool:
        return self._db is not None and self._file is None

    def close(self) -> None:
        db, self._db, self._file = self._db, None, None
        if db is not None and self._process == os.getpid():
            db.close()

    def discard(self) -> None:
        """Throw the file away; what is open elsewhere is made anew there as well."""
        self.close()
        self._remove()

    def _remove(self) -> None:
        for end in ("", "-wal", "-shm", "-journal"):
            try:
                self._path.with_name(self._path.name + end).unlink(missing_ok=True)
            except OSError:
                self._leave_alone("cannot be removed")

    def _in_place(self) -> bool:
        if self._process != os.getpid():
            return False
        if self._file is None:
            return time.monotonic() < self._retry_at
        return _identity(self._path) == self._file

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._db is None:
            raise IndexLost
        try:
            return work(self._db)
        except (sqlite3.Error, ValueError, OverflowError) as error:
            self._fail(error)
            raise IndexLost from error

    def _fail(self, error: Exception) -> None:
        """A file that somebody else holds or that nothing can be written to is left alone, a damaged one is removed."""
        said = str(error).lower()
        if isinstance(error, sqlite3.OperationalError) and any(word in said for word in UNUSABLE):
            self.close()
            self._leave_alone(said)
        else:
            self.trouble = said
            self.discard()

    def _leave_alone(self, why: str, for_s: float = RETRY_S) -> None:
        self.trouble = why
        self._retry_at = time.monotonic() + for_s

    def _open(self) -> None:
        """The file where it can be used, anew when it was damaged, else memory."""
        self._process = os.getpid()
        self._opened += 1
        if self._path.parent.is_dir() and remote(self._path.parent):
            self._leave_alone("the folder is of another machine", float("inf"))
        for _ in range(2):
            if time.monotonic() < self._retry_at or not self._path.parent.is_dir():
                break
            try:
                self._db = _connect(self._path)
                self._file = _identity(self._path)
                return
            except sqlite3.Error as error:
                self._fail(error)
        self._file, self._db = None, _connect(MEMORY)


def _connect(path: Path | str) -> sqlite3.Connection:
    """The table, created where it is not there or of another format. Raises `sqlite3.Error`."""
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "secure_delete = ON", "temp_store = MEMORY"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        with db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT or not _has_table(db):
                db.execute("DROP TABLE IF EXISTS jobs")
                for line in SCHEMA:
                    db.execute(line)
        return db
    except BaseException:
        db.close()
        raise


def _has_table(db: sqlite3.Connection) -> bool:
    found = [name for _, name, *_ in db.execute("PRAGMA table_info(jobs)")]
    return found == [*NAMES, "sum"]


def _identity(path: Path) -> Identity:
    """Which files these are, the table's and that of its latest changes."""
    return tuple(file_id(file) for file in (path, path.with_name(path.name + "-wal")))


def remote(folder: Path) -> bool:
    """Whether a folder is of another machine, where locks and shared memory of SQLite cannot be relied upon."""
    place = str(folder.resolve())
    if sys.platform == "win32" and place.startswith("\\\\"):
        return True
    try:
        parts = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error):
        return False
    holding = [part for part in parts if folder.resolve().is_relative_to(part.mountpoint)]
    kind = max(holding, key=lambda part: len(part.mountpoint)).fstype.lower() if holding else ""
    return any(name in kind for name in REMOTE)
