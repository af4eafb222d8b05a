"""The jobs of one data folder: made, moved, listed, deleted. Directories are the truth; lists come from an index."""
from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from personal_avatar.domain import to_json
from personal_avatar.errors import AvatarError, NotFound, WrongState
from personal_avatar.jobs import claims, endings, mending
from personal_avatar.jobs.asking import asking
from personal_avatar.jobs.catalogue import Catalogue
from personal_avatar.jobs.events import rewrite
from personal_avatar.jobs.files import JobFiles, status_of
from personal_avatar.jobs.history import Effort
from personal_avatar.jobs.job import Job, JobView, Status
from personal_avatar.jobs.kept import LOG_FILE
from personal_avatar.jobs.listing import Lines, Listing
from personal_avatar.jobs.rows import Row, Wish
from personal_avatar.jobs.states import ACTIVE, ENDED, State, move
from personal_avatar.jobs.whereabouts import here
from personal_avatar.problems import stated

__all__ = ["NO_FILES", "Job", "JobStore", "JobView", "Status", "named_in"]

NO_FILES: Mapping[str, Path] = MappingProxyType({})


def unknown(job: Job) -> Effort:
    """Nobody says how much work a job is."""
    return Effort()


class JobStore:
    """All job directories below one folder. Safe to use from several threads and several programs.

    `brief`: kinds of jobs whose copies of files (`photos/`) go when the job ends, however it ends. `effort`: which jobs
    take the same time, see history.Effort. `together`: kinds of which one runs where otherwise one of each would: they
    wait in one line.
    """

    def __init__(
        self, folder: Path, brief: Collection[str] = (), effort: Callable[[Job], Effort] = unknown,
        together: tuple[str, ...] = (),
    ) -> None:
        self._folder, self._brief, self._together = folder, frozenset(brief), together
        self._files = JobFiles(folder, effort)
        self._catalogue = Catalogue(folder, self._files.read)
        self._lines: Lines = {}
        self._lock = threading.RLock()

    def line_of(self, kind: str) -> tuple[str, ...]:
        """Kinds that wait in one line with this one, which is among them."""
        return self._together if kind in self._together else (kind,)

    def folder(self, job_id: str) -> Path:
        """The directory of a job; raises `NotFound` (also for names that are no ids)."""
        return self._files.folder(job_id)

    # -- making and moving

    def create(
        self, kind: str, payload: Any, *, title: str, user_id: str, avatar_id: str,
        files: Mapping[str, Path] = NO_FILES, priority: int = 0, host: str = "",
    ) -> Job:
        """Write a new queued job; it appears in lists only when it is complete. `files`: name in the job's folder
        `photos` -> what is copied there, to be erased with the job."""
        job = Job(
            uuid.uuid4().hex, kind, title, user_id, avatar_id, time.time(), to_json(payload),
            priority=priority or asking().priority, callback_url=asking().callback_url, request_key=asking().key,
            host=host,
        )
        self._files.create(job, files)
        self._catalogue.note(job.id)
        return job

    def job(self, job_id: str) -> Job:
        """Raises `NotFound`, `JobDamaged`."""
        return self._files.job(job_id)

    def status(self, job_id: str) -> Status:
        """Where a job stands now, as its files say."""
        return self._files.status(job_id, lambda: self._known(job_id))

    def _known(self, job_id: str) -> Status | None:
        row = self._catalogue.known(job_id)
        return status_of(row) if row else None

    def move(self, job_id: str, state: State, **changes: Any) -> Status:
        """Move a job by the table; start and end times are set here. Raises `WrongState`."""
        with self._lock:
            now = self.status(job_id)
            told = {"heard": endings.last_id(self.folder(job_id))} if state is State.RUNNING else {}
            status = replace(now, state=move(now.state, state), **{**_times(now, state), **told, **changes})
            self._write(job_id, status)
            if state in ENDED:
                self._drop_files(job_id)
            return status

    def set_priority(self, job_id: str, priority: int) -> None:
        """Whoever calls has the claim on the job, so that nobody moves it meanwhile."""
        with self._lock:
            self._write(job_id, replace(self.status(job_id), priority=priority))

    def note_process(self, job_id: str, pid: int, started_at: float) -> None:
        """Remember the child of a running job, so that it can be found again."""
        with self._lock:
            self._write(job_id, replace(self.status(job_id), pid=pid, pid_started_at=started_at, place=here()))

    def fail(self, job_id: str, error: AvatarError, state: State = State.FAILED) -> None:
        """End a job with a named error; a job that has ended already stays as it is.

        On a full disk the end is told from memory, and written when there is space; after a restart the job's own
        events tell it again.
        """
        changes: dict[str, Any] = {"error": error.to_json()}
        try:
            self.move(job_id, state, **changes)
        except (WrongState, NotFound):
            return
        except OSError:
            self._files.unwritten[job_id] = replace(self.status(job_id), state=state, ended_at=time.time(), **changes)
            self._catalogue.note(job_id)

    def _write(self, job_id: str, status: Status) -> None:
        self._files.write(job_id, status)
        self._files.unwritten.pop(job_id, None)
        self._catalogue.note(job_id)

    def _write_belated(self) -> None:
        """Write the ends for which there was no space."""
        for job_id, status in list(self._files.unwritten.items()):
            try:
                self._write(job_id, status)
            except NotFound:
                self._files.unwritten.pop(job_id, None)
            except OSError:
                return

    def _drop_files(self, job_id: str) -> None:
        row = self._catalogue.row(job_id) if self._brief else None
        if row is not None and row.kind in self._brief:
            shutil.rmtree(self._folder / job_id / "photos", ignore_errors=True)

    def mend(self) -> list[str]:
        """After a start: write the states that had to be told by other files, remove what crashes left of jobs that
        were being made or deleted. Returns the ids of the mended jobs."""
        mending.sweep(self._folder)
        mended = []
        for row in self._rows(Wish(damaged=True)):
            with self._lock:
                try:
                    self._write(row.id, self.status(row.id))
                except (OSError, NotFound):
                    continue
                mended.append(row.id)
        return mended

    # -- lists

    def ids(self) -> list[str]:
        """Ids of all jobs, oldest first."""
        return [row[0] for row in self._catalogue.query("SELECT id FROM jobs ORDER BY created_at, id")]

    def views(
        self, *, user_id: str | None = None, states: Iterable[State] | None = None, kind: str | None = None,
        limit: int | None = None, before: str | None = None, request_key: str | None = None,
        avatar_id: str | None = None,
    ) -> list[JobView]:
        """Jobs, newest first. `before`: only those that come after this job in the list, for reading it page by page;
        raises `NotFound` when there is no such job. A damaged job is shown as what it can still be told to be."""
        place = self._place(before) if before is not None else None
        rows = self._rows(Wish(user_id, _states(states), kind, request_key, avatar_id, limit, place))
        return self._listing().views(rows)

    def in_line(self, kind: str, states: Iterable[State]) -> list[JobView]:
        """Jobs of all kinds that wait in one line with `kind`."""
        return [view for one in self.line_of(kind) for view in self.views(states=states, kind=one)]

    def count(
        self, *, states: Iterable[State] | None = None, user_id: str | None = None, kind: str | None = None
    ) -> int:
        """How many jobs there are of these."""
        self._write_belated()
        return self._catalogue.count(Wish(user_id, _states(states), kind))

    def view(self, job_id: str) -> JobView:
        """Raises `NotFound`."""
        self.folder(job_id)
        self._write_belated()
        row = self._catalogue.row(job_id)
        if row is None:
            raise stated(NotFound, "failure.no_job", "remedy.list_of_jobs", job=repr(job_id))
        return self._listing().view(row)

    def rebuild(self) -> int:
        """Make the index anew from the directories; returns the number of jobs."""
        return self._catalogue.rebuild()

    @property
    def index_trouble(self) -> str:
        """Why the index was made anew or cannot be used, "" when all is well."""
        return self._catalogue.trouble

    @property
    def index_in_memory(self) -> bool:
        """Whether lists come from an index that this program alone has, as its file cannot be used."""
        return self._catalogue.in_memory

    def close(self) -> None:
        """Give the index back; it is opened again when it is needed."""
        self._catalogue.close()

    def _listing(self) -> Listing:
        return Listing(self._catalogue, self._files, self._lines, self.line_of)

    def _rows(self, wish: Wish) -> list[Row]:
        self._write_belated()
        return self._catalogue.rows(wish)

    def _place(self, job_id: str) -> tuple[float, str]:
        row = self._catalogue.row(job_id) if job_id.isalnum() else None
        if row is None:
            raise stated(NotFound, "failure.no_job", "remedy.list_anew", job=repr(job_id))
        return row.created_at, row.id

    # -- one job

    def claim(self, job_id: str, may: Callable[[], bool] = claims.always) -> bool:
        """True for exactly one process, which may then run the job; `may`: see claims.take."""
        return claims.take(self.folder(job_id), may)

    def is_claimed(self, job_id: str) -> bool:
        """Whether a process runs the job, or is about to."""
        return claims.holder(self._folder / job_id) is not None

    def free_if_orphaned(self, job_id: str) -> None:
        """Take away the claim of a process that is gone."""
        claims.free_if_orphaned(self.folder(job_id))

    def release(self, job_id: str) -> None:
        """Give the job back; harmless when it was deleted meanwhile."""
        claims.release(self._folder / job_id)

    def log_tail(self, job_id: str, characters: int = 8000) -> str:
        """The end of what the child printed."""
        path = self.folder(job_id) / LOG_FILE
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - characters))
            return file.read().decode("utf-8", errors="replace")

    def amend(self, job_id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Put what a job told, event by event, through `change`; raises `WrongState` while it has not ended."""
        with self._lock:
            if self.status(job_id).state in ACTIVE:
                raise WrongState("The job has not ended.", "Wait, or cancel it.")
            rewrite(self.folder(job_id), change)
            self._files.forget()
            self._catalogue.note(job_id)

    def delete(self, job_id: str) -> Path | None:
        """Remove a job that has ended, with everything that the index and the memory hold of it. Where something cannot
        be removed it stays in the list; raises `OSError` then. Returns what a link in its place led to, where that may
        be somebody else's and was left."""
        with self._lock:
            if self.status(job_id).state in ACTIVE:
                raise WrongState("The job has not ended.", "Cancel it first.")
            try:
                return self._files.delete(job_id)
            finally:
                self._catalogue.note(job_id)


def _times(now: Status, state: State) -> dict[str, Any]:
    """What a move to `state` sets; a job that is taken up again after its end has not ended any more."""
    if state is State.RUNNING:
        return {"taken_at": time.time(), "started_at": now.started_at or time.time()}
    if state in ENDED:
        return {"ended_at": time.time()}
    return {"ended_at": None, "error": None}


def _states(states: Iterable[State] | None) -> frozenset[State] | None:
    return None if states is None else frozenset(states)


def named_in(views: Iterable[JobView], key: str) -> set[Path]:
    """The files that the results of jobs name under `key`: as texts, or as rows with a path."""
    rows = [row for view in views for row in (view.result or {}).get(key, [])]
    return {Path(row["path"] if isinstance(row, dict) else row) for row in rows}
