"""The files of jobs: `job.json` is written once, `status.json` is replaced at every move.

jobs/<id>/  job.json  status.json  events.jsonl  log.txt  control/  artifacts/  photos/  state/  claim  alive
"""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from personal_avatar.domain import from_json, to_json
from personal_avatar.errors import AvatarError, JobDamaged, NotFound
from personal_avatar.jobs import claims, process, removing
from personal_avatar.jobs.account import Account, last_result, read_on
from personal_avatar.jobs.catalogue import same_file, stamp, stamps
from personal_avatar.jobs.history import Effort
from personal_avatar.jobs.homing import described
from personal_avatar.jobs.job import Job, Status, priority_of
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER, EVENTS_FILE, JOB_FILE, STATUS_FILE
from personal_avatar.jobs.mending import recovered
from personal_avatar.jobs.rows import Row
from personal_avatar.jobs.states import ENDED, State
from personal_avatar.problems import stated
from personal_avatar.storage import flush_folder, write_json

JOBS_KEPT, RESULTS_KEPT = 4096, 2048  # in memory
HIGHEST = 2**62


class JobFiles:
    """Reads and writes the directories below one folder. `effort`: see history.Effort."""

    def __init__(self, folder: Path, effort: Callable[[Job], Effort]) -> None:
        self._folder, self._effort = folder, effort
        self._jobs = lru_cache(JOBS_KEPT)(self._read_job)
        self._results = lru_cache(RESULTS_KEPT)(self._read_result)
        self.unwritten: dict[str, Status] = {}

    def folder(self, job_id: str) -> Path:
        """The directory of a job; raises `NotFound` (also for names that are no ids)."""
        path = self._folder / job_id
        if not job_id.isalnum() or not _is_job(path):
            raise stated(NotFound, "failure.no_job", "remedy.list_of_jobs", job=repr(job_id))
        return path

    # -- writing

    def create(self, job: Job, files: Mapping[str, Path]) -> None:
        """All or nothing: the directory has its name when everything is on the disk."""
        hidden = self._folder / f".{job.id}"
        try:
            (hidden / ARTIFACTS_FOLDER).mkdir(parents=True)
            _copy(files, hidden / "photos")
            write_json(hidden / JOB_FILE, to_json(job))
            write_json(hidden / STATUS_FILE, to_json(Status()))
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        os.replace(hidden, self._folder / job.id)
        flush_folder(self._folder)

    def write(self, job_id: str, status: Status) -> None:
        write_json(self.folder(job_id) / STATUS_FILE, to_json(status))

    def delete(self, job_id: str) -> Path | None:
        """The directory is taken out of sight first: whoever ran the job may be about to take its claim away. Where
        something in it cannot be removed it is put back, to be deleted again. Of a link that leads to what may be
        somebody else's, only the link goes; returns what is left so."""
        folder, hidden = self.folder(job_id), self._folder / f".{job_id}{removing.DELETED}"
        if not removing.is_own(folder):
            left = folder.resolve()
            folder.unlink()
            self._forget_all_of(job_id)
            return left
        os.replace(folder, hidden)
        self.forget()
        try:
            removing.empty(hidden)
        except OSError:
            os.replace(hidden, folder)
            raise
        self._forget_all_of(job_id)
        removing.drop(hidden)
        return None

    def _forget_all_of(self, job_id: str) -> None:
        self.forget()
        self.unwritten.pop(job_id, None)

    def forget(self) -> None:
        """Nothing of any job stays in memory."""
        self._jobs.cache_clear()
        self._results.cache_clear()

    # -- reading

    def job(self, job_id: str) -> Job:
        """Raises `NotFound`, `JobDamaged`."""
        folder = self.folder(job_id)
        try:
            return self._jobs(job_id, stamp(folder / JOB_FILE))
        except (OSError, ValueError) as error:
            raise stated(JobDamaged, "failure.job_unreadable", job=repr(job_id), cause=error) from error

    def status(self, job_id: str, known: Callable[[], Status | None]) -> Status:
        """Where a job stands, told by its other files when its status cannot be read; `known`: as it was seen last."""
        if job_id in self.unwritten:
            return self.unwritten[job_id]
        folder = self.folder(job_id)
        status = _read_status(folder) or recovered(folder, known())
        return status if self._is_sound(job_id, status) else _given_up(folder, status)

    def _is_sound(self, job_id: str, status: Status) -> bool:
        """Whether the job has ended or can still run: what nobody knows any more cannot begin."""
        try:
            self.job(job_id)
        except JobDamaged:
            folder = self._folder / job_id
            runs = process.works(folder, status) or claims.holder(folder) is not None
            return status.state in ENDED or (status.state is State.RUNNING and runs)
        return True

    def result(self, row: Row, account: Account) -> dict[str, Any] | None:
        """What the job's last word holds."""
        return self._results(row.id, account.word_at, row.events_stamp) if account.word_at >= 0 else None

    def read(self, job_id: str, known: Row | None) -> Row | None:
        """A job's row for the index; None for what is no job. Never raises for damage."""
        folder = self._folder / job_id
        if not _is_job(folder):
            return None
        seen = stamps(folder)
        try:
            job, whole = self.job(job_id), True
        except AvatarError:
            job, whole = rest_of(job_id, known, folder), False
        try:
            status = self.status(job_id, lambda: status_of(known) if known else None)
        except NotFound:
            return None
        written = _read_status(folder) == status and job_id not in self.unwritten
        if not (whole and written):
            seen = "", seen[1]
        return _row(job, status, self._account(folder, known, seen[1]), self._effort_of(job, known), seen, written)

    def _account(self, folder: Path, known: Row | None, events_stamp: str) -> Account:
        goes_on = known is not None and same_file(known.events_stamp, events_stamp)
        try:
            return read_on(folder, account_of(known) if known and goes_on else Account())
        except OSError:
            return Account()

    def _effort_of(self, job: Job, known: Row | None) -> Effort:
        if known is not None and known.kind == job.kind:
            return Effort(known.alike, known.work)
        try:
            return self._effort(job)
        except (AvatarError, OSError, LookupError, TypeError, ValueError):  # a payload of another version, a file gone
            return Effort()

    def _read_job(self, job_id: str, _stamp: str) -> Job:
        return from_json(Job, described(self._folder / job_id))

    def _read_result(self, job_id: str, word_at: int, events_stamp: str) -> dict[str, Any] | None:
        """The stamp tells results of one place in the file apart."""
        return last_result(self._folder / job_id, Account(word_at=word_at))


def rest_of(job_id: str, known: Row | None, folder: Path) -> Job:
    """What is left of a job whose description was damaged: what lists show, without its payload."""
    if known is not None:
        return Job(job_id, known.kind, known.title, known.user_id, known.avatar_id, known.created_at, {},
                   priority=known.priority, request_key=known.request_key)
    return Job(job_id, "", "", "", "", _time_of(folder), {})


def status_of(row: Row) -> Status:
    data = json.loads(row.status)
    return Status(**{**data, "state": State(data["state"])})


def account_of(row: Row) -> Account:
    return Account.from_text(row.account)


def _row(
    job: Job, status: Status, account: Account, effort: Effort, seen: tuple[str, str], written: bool
) -> Row:
    taken = status.taken_at or status.started_at or 0.0
    return Row(
        id=job.id, kind=job.kind, title=job.title, user_id=job.user_id, avatar_id=job.avatar_id,
        request_key=job.request_key, priority=max(-HIGHEST, min(HIGHEST, priority_of(job, status))),
        created_at=_finite(job.created_at), state=status.state.value, taken_at=_finite(taken),
        ended_at=_finite(status.ended_at or 0.0), alike=effort.alike, work=_finite(effort.work),
        damaged=int(not written),
        status=json.dumps({**asdict(status), "state": status.state.value}), account=account.to_text(),
        status_stamp=seen[0], events_stamp=seen[1],
    )


def _finite(value: float) -> float:
    return float(value) if isfinite(value) else 0.0


def _is_job(folder: Path) -> bool:
    return any(os.path.isfile(folder / name) for name in (JOB_FILE, STATUS_FILE, EVENTS_FILE))


def _read_status(folder: Path) -> Status | None:
    """None when the file was damaged or lost. Raises `NotFound` when the whole job was."""
    try:
        return from_json(Status, json.loads((folder / STATUS_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        if not _is_job(folder):
            raise stated(NotFound, "failure.no_job", "remedy.list_of_jobs", job=repr(folder.name)) from None
        return None


def _given_up(folder: Path, status: Status) -> Status:
    error = stated(JobDamaged, "ending.task")
    return replace(status, state=State.FAILED, error=error.to_json(), ended_at=_time_of(folder))


def _time_of(folder: Path) -> float:
    try:
        return os.stat(folder).st_mtime
    except OSError:
        return 0.0


def _copy(files: Mapping[str, Path], target: Path) -> None:
    if files:
        target.mkdir()
    for name, source in files.items():
        shutil.copyfile(source, target / name)
        with (target / name).open("rb+") as file:
            os.fsync(file.fileno())
