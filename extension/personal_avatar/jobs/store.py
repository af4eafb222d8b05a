"""Jobs on disk. The directories are the truth: `job.json` is written once, `status.json` is replaced at every move.

jobs/<id>/  job.json  status.json  events.jsonl  log.txt  control/  artifacts/  photos/  claim
"""
from __future__ import annotations

import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from personal_avatar.domain import FORMAT_VERSION, from_json, to_json
from personal_avatar.errors import AvatarError, NotFound, WrongState
from personal_avatar.jobs import claims
from personal_avatar.jobs.asking import asking
from personal_avatar.jobs.events import Done, Failed, Progress, Record, Score, Stage, read_events, rewrite
from personal_avatar.jobs.states import ACTIVE, State, move
from personal_avatar.storage import write_json

NO_FILES: Mapping[str, Path] = MappingProxyType({})


@dataclass(frozen=True)
class Job:
    """What was asked for; never changes. Times are Unix seconds. `priority`: higher ones are taken first;
    `callback_url`: who is told when it has ended, "" for nobody; `request_key`: by which the caller names the
    request."""

    id: str
    kind: str
    title: str
    user_id: str
    avatar_id: str
    created_at: float
    payload: dict[str, Any]
    version: int = FORMAT_VERSION
    priority: int = 0
    callback_url: str = ""
    request_key: str = ""


@dataclass(frozen=True)
class Status:
    """Where a job stands. `pid` and `pid_started_at` name the process that runs it; `restarts`: how often it was taken
    up again by itself after its process had died."""

    state: State = State.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    pid: int | None = None
    pid_started_at: float | None = None
    error: dict[str, Any] | None = None
    restarts: int = 0


@dataclass(frozen=True)
class JobView:
    """A job as page, API and command line show it, read from its directory at this moment."""

    job: Job
    status: Status
    stage: str = ""
    step: int = 0
    total_steps: int = 0
    loss: float | None = None
    eta_s: float | None = None
    likeness: float | None = None
    position: int = 0
    result: dict[str, Any] | None = None

    @property
    def progress(self) -> float:
        """0..1 of the main loop; 1 when the job succeeded."""
        if self.status.state is State.SUCCEEDED:
            return 1.0
        return self.step / self.total_steps if self.total_steps else 0.0

    def to_json(self) -> dict[str, Any]:
        """The document of `GET /jobs/{id}` and `personal-avatar jobs show`."""
        job, status = self.job, self.status
        return {
            "id": job.id, "kind": job.kind, "title": job.title, "user_id": job.user_id, "model_id": job.avatar_id,
            "state": status.state.value, "stage": self.stage, "progress": round(self.progress, 4),
            "step": self.step, "total_steps": self.total_steps, "loss": self.loss, "likeness": self.likeness,
            "eta_s": self.eta_s, "position": self.position, "error": status.error, "result": self.result,
            "created_at": job.created_at, "started_at": status.started_at, "ended_at": status.ended_at,
        }


class JobStore:
    """All job directories below one folder. Safe to use from several threads.

    `brief`: kinds of jobs whose copies of files (`photos/`) go when the job ends, however it ends.
    """

    def __init__(self, folder: Path, brief: Collection[str] = ()) -> None:
        self._folder, self._brief = folder, frozenset(brief)
        self._lock = threading.RLock()
        self._unwritten: dict[str, Status] = {}

    def folder(self, job_id: str) -> Path:
        """The directory of a job; raises `NotFound` (also for names that are no ids)."""
        path = self._folder / job_id
        if not job_id.isalnum() or not (path / "job.json").is_file():
            raise NotFound(f"There is no job {job_id!r}.", "Look at the list of jobs.")
        return path

    def create(
        self, kind: str, payload: Any, *, title: str, user_id: str, avatar_id: str, files: Mapping[str, Path] = NO_FILES
    ) -> Job:
        """Write a new queued job; it appears in lists only when it is complete. `files`: name in the job's folder
        `photos` -> what is copied there, to be erased with the job."""
        job = Job(
            uuid.uuid4().hex, kind, title, user_id, avatar_id, time.time(), to_json(payload),
            callback_url=asking().callback_url, request_key=asking().key,
        )
        hidden = self._folder / f".{job.id}"
        (hidden / "artifacts").mkdir(parents=True)
        try:
            self._copy(files, hidden / "photos")
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        write_json(hidden / "job.json", to_json(job))
        write_json(hidden / "status.json", to_json(Status()))
        os.replace(hidden, self._folder / job.id)
        return job

    @staticmethod
    def _copy(files: Mapping[str, Path], target: Path) -> None:
        if files:
            target.mkdir()
        for name, source in files.items():
            shutil.copyfile(source, target / name)

    def job(self, job_id: str) -> Job:
        return from_json(Job, json.loads((self.folder(job_id) / "job.json").read_text(encoding="utf-8")))

    def status(self, job_id: str) -> Status:
        if job_id in self._unwritten:
            return self._unwritten[job_id]
        return from_json(Status, json.loads((self.folder(job_id) / "status.json").read_text(encoding="utf-8")))

    def move(self, job_id: str, state: State, **changes: Any) -> Status:
        """Move a job by the table; start and end times are set here. Raises `WrongState`."""
        with self._lock:
            now = self.status(job_id)
            times: dict[str, float] = {}
            if state is State.RUNNING and now.started_at is None:
                times["started_at"] = time.time()
            if state not in ACTIVE:
                times["ended_at"] = time.time()
            status = replace(now, state=move(now.state, state), **{**times, **changes})
            write_json(self.folder(job_id) / "status.json", to_json(status))
            if state not in ACTIVE and self._brief and self.job(job_id).kind in self._brief:
                shutil.rmtree(self.folder(job_id) / "photos", ignore_errors=True)
            return status

    def note_process(self, job_id: str, pid: int, started_at: float) -> None:
        """Remember the child of a running job, so that it can be found again."""
        with self._lock:
            status = replace(self.status(job_id), pid=pid, pid_started_at=started_at)
            write_json(self.folder(job_id) / "status.json", to_json(status))

    def fail(self, job_id: str, error: AvatarError, state: State = State.FAILED) -> None:
        """End a job with a named error; a job that has ended already stays as it is.

        On a full disk the end is told from memory; after a restart the job's own events tell it again.
        """
        changes: dict[str, Any] = {"error": error.to_json()}
        try:
            self.move(job_id, state, **changes)
        except (WrongState, NotFound):
            return
        except OSError:
            self._unwritten[job_id] = replace(self.status(job_id), state=state, ended_at=time.time(), **changes)

    def ids(self) -> list[str]:
        """Ids of complete jobs, oldest first."""
        if not self._folder.is_dir():
            return []
        ages = [(_age(path), path.name) for path in self._folder.iterdir() if path.name.isalnum()]
        return [name for age, name in sorted(ages) if age]

    def views(self, *, user_id: str | None = None, states: Iterable[State] | None = None) -> list[JobView]:
        """Jobs, newest first; a directory that was damaged by hand is left out."""
        wanted = set(states) if states is not None else None
        found = []
        for job_id in reversed(self.ids()):
            try:
                if wanted is None or self.status(job_id).state in wanted:
                    found.append(self.view(job_id))
            except (ValueError, OSError, NotFound):
                continue
        return [view for view in found if user_id is None or view.job.user_id == user_id]

    def active(self, kind: str) -> list[Job]:
        """Jobs of a kind that have not ended, oldest first; claims of processes that are gone are taken away."""
        found = []
        for job_id in self.ids():
            try:
                if self.status(job_id).state in ACTIVE and (job := self.job(job_id)).kind == kind:
                    self.free_if_orphaned(job_id)
                    found.append(job)
            except (ValueError, NotFound):
                continue
        return found

    def view(self, job_id: str) -> JobView:
        job, status = self.job(job_id), self.status(job_id)
        position = self._position(job) if status.state is State.QUEUED else 0
        return _with_events(JobView(job, status, position=position), read_events(self.folder(job_id)))

    def _position(self, job: Job) -> int:
        """1 for the next to run: queued jobs of the same kind that were asked for earlier, plus one."""
        before = 0
        for other_id in self.ids():
            if other_id == job.id:
                break
            before += self._waits(other_id, job.kind)
        return before + 1

    def _waits(self, job_id: str, kind: str) -> bool:
        """Whether a job of that kind is queued; a damaged directory is not."""
        try:
            return self.status(job_id).state is State.QUEUED and self.job(job_id).kind == kind
        except (ValueError, OSError, NotFound):
            return False

    def claim(self, job_id: str) -> bool:
        """True for exactly one process, which may then run the job."""
        return claims.take(self.folder(job_id))

    def free_if_orphaned(self, job_id: str) -> None:
        """Take away the claim of a process that is gone."""
        claims.free_if_orphaned(self.folder(job_id))

    def release(self, job_id: str) -> None:
        """Give the job back; harmless when it was deleted meanwhile."""
        claims.release(self._folder / job_id)

    def log_tail(self, job_id: str, characters: int = 8000) -> str:
        """The end of what the child printed."""
        path = self.folder(job_id) / "log.txt"
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

    def delete(self, job_id: str) -> None:
        """Remove the directory of a job that has ended.

        It is taken out of sight first: whoever ran the job may be about to take its claim away.
        """
        if self.status(job_id).state in ACTIVE:
            raise WrongState("The job has not ended.", "Cancel it first.")
        hidden = self._folder / f".{job_id}.deleted"
        os.replace(self.folder(job_id), hidden)
        shutil.rmtree(hidden)
        self._unwritten.pop(job_id, None)


def _age(folder: Path) -> int:
    """When a job was asked for (ns); 0 for a folder that is no job, or was deleted meanwhile."""
    try:
        return (folder / "job.json").stat().st_mtime_ns
    except OSError:
        return 0


def _with_events(view: JobView, records: Iterable[Record]) -> JobView:
    """Fold a job's events into what is shown."""
    for record in records:
        event = record.event
        if isinstance(event, Stage):
            view = replace(view, stage=event.name, step=0, total_steps=0, eta_s=None)
        elif isinstance(event, Progress):
            left = (event.total - event.step) * event.seconds_per_step if event.seconds_per_step else None
            eta = round(left, 1) if left is not None else None
            view = replace(view, step=event.step, total_steps=event.total, loss=event.loss, eta_s=eta)
        elif isinstance(event, Score):
            view = replace(view, likeness=event.likeness)
        elif isinstance(event, Done):
            view = replace(view, result=event.result)
        elif isinstance(event, Failed):
            view = replace(view, result=event.error.get("result"))
    return view


def named_in(views: Iterable[JobView], key: str) -> set[Path]:
    """The files that the results of jobs name under `key`: as texts, or as rows with a path."""
    rows = [row for view in views for row in (view.result or {}).get(key, [])]
    return {Path(row["path"] if isinstance(row, dict) else row) for row in rows}
