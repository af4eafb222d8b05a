"""The folder of a job that is to be gone. One that was moved to another disk, with a link in its place, goes there,
too, where it is surely the job's alone."""
from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from personal_avatar.jobs import homing
from personal_avatar.jobs.kept import JOB_FILE, STATUS_FILE

DELETED = ".deleted"  # how the name ends that a folder has while it is removed


def is_own(folder: Path) -> bool:
    """Whether what is in it is this job's, and no other data folder's as well."""
    return not folder.is_symlink() or (_tells_of(folder, folder.name) and not homing.is_shared(folder))


def _tells_of(folder: Path, job_id: str) -> bool:
    try:
        return bool(json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))["id"] == job_id)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def empty(folder: Path) -> None:
    """Remove what is in it, what tells of the job last."""
    for path in sorted(folder.iterdir(), key=lambda path: (path.name == STATUS_FILE, path.name == JOB_FILE)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def drop(folder: Path) -> None:
    """Remove the folder; of a link, itself and the folder to which it leads, where nothing is in that."""
    if not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
        return
    target = os.path.realpath(folder)  # also of a link that leads to itself
    with suppress(OSError):
        folder.unlink()
        os.rmdir(target)


def go_on(hidden: Path, job_id: str) -> None:
    """Remove what a crash left of a job that was being deleted; what is in use goes another time."""
    with suppress(OSError):
        if hidden.is_symlink() and _tells_of(hidden, job_id):
            empty(hidden)
        drop(hidden)
