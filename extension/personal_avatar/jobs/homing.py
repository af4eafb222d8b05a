"""What a job was asked for, in the data folder as it is now: that may have been copied or moved since, and what is done
in the copy is nothing to the original."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath
from typing import Any

from personal_avatar.domain.trainings import asked_in
from personal_avatar.jobs.kept import JOB_FILE
from personal_avatar.jobs.places import Places

JOBS_FOLDER = "jobs"  # in the data folder


def described(folder: Path) -> Any:
    """`job.json` of the job in `folder`, as data, with the paths of its task `homed`. Raises `OSError`,
    `ValueError`."""
    job = _read(folder)
    return {**job, "payload": _places(folder, job).there(job["payload"])} if _is_whole(job) else job


def homed(told: Any, folder: Path) -> Any:
    """A document of the job in `folder`: paths in the data folder of the time when it was asked for as they are in the
    present one, and all else as it was told."""
    try:
        job = _read(folder)
    except (OSError, ValueError):
        return told
    return _places(folder, job).there(told) if _is_whole(job) else told


def original_home(folder: Path) -> Path | None:
    """The data folder in which the job in `folder` was asked for, where that is another one that still has it, too;
    also where both lead to the same job."""
    then = _home_of(folder)
    if then is None or _is_same(Path(then), folder.absolute().parents[1]):
        return None
    return Path(then) if os.path.isdir(Path(then, JOBS_FOLDER, folder.name)) else None


def _read(folder: Path) -> Any:
    return json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))


def _is_whole(job: Any) -> bool:
    return isinstance(job, dict) and isinstance(job.get("payload"), dict)


def _places(folder: Path, job: dict[str, Any]) -> Places:
    """(data folder then, data folder now); nothing while they are one, nor on another machine, which has none."""
    then, now = asked_in(job["payload"]), folder.absolute()
    is_ours = now.name == job.get("id") and now.parent.name == JOBS_FOLDER
    if then is None or not is_ours or _is_same(Path(then, JOBS_FOLDER, now.name), now):
        return Places(())
    return Places(((str(then), str(now.parents[1])),))


def is_shared(folder: Path) -> bool:
    """Whether `folder`, a link in the place of a job, leads to where one in another data folder leads as well: in one
    in which a job beside it was asked for, and of which this one is a copy."""
    homes = {home for job in folder.parent.iterdir() if (home := _home_of(job)) is not None}
    others = [jobs for home in homes if not _is_same(jobs := Path(home, JOBS_FOLDER), folder.parent)]
    return any(_is_same(jobs / folder.name, folder) for jobs in others)


def _home_of(folder: Path) -> PurePath | None:
    try:
        job = _read(folder)
    except (OSError, ValueError):
        return None
    return asked_in(job["payload"]) if _is_whole(job) else None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
