"""A checkpoint's file may have become another one while a job waited: what the job knows of it is looked up again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from personal_avatar.domain import BaseModelFile
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.jobs.kept import JOB_FILE
from personal_avatar.storage import sha256_of
from personal_avatar.training.families import registry as families
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.wording import text


def as_found(task: TrainTask, folder: Path, emit: EventWriter) -> TrainTask:
    """With the checkpoint as its file is now; what is different is told. `folder`: the job's.

    Raises `BaseNotFound`, `BaseUnsupported`.
    """
    base, asked = families.as_found(task.base), task.base
    different = []
    if base.prediction != asked.prediction:
        different.append(text("replaced.prediction", prediction=base.prediction))
    if base.zero_terminal_snr != asked.zero_terminal_snr:
        different.append(text("replaced.snr" if base.zero_terminal_snr else "replaced.no_snr"))
    if different:
        emit(Log(text("log.replaced", file=base.path.name, differences=", and ".join(different))))
    return replace(task, base=_with_its_hash(base, folder / JOB_FILE))


def _with_its_hash(base: BaseModelFile, asked: Path) -> BaseModelFile:
    """Reading gigabytes takes seconds: only when the file is younger than `asked`, which is written with the job."""
    if not base.sha256 or not asked.is_file():
        return base
    facts = base.path.stat()
    is_younger = max(facts.st_mtime_ns, facts.st_ctime_ns) > asked.stat().st_mtime_ns
    return replace(base, sha256=sha256_of(base.path)) if is_younger else base
