"""What of a training goes to another machine, under which names there, and the task as it reads there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from personal_avatar.domain import BaseModelFile, Engine, from_json, to_json
from personal_avatar.errors import BaseNotFound, InvalidSettings
from personal_avatar.faces.registry import CHARACTERS, DRAWN_DETECTORS
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER, STATE_COMPLETE, STATE_FOLDER
from personal_avatar.jobs.places import Places
from personal_avatar.problems import stated
from personal_avatar.storage import files_below
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.training.results.publish import stem_for
from personal_avatar.training.storing import parts
from personal_avatar.weights.matting import MODNET
from personal_avatar.weights.registry import SFACE, YUNET
from personal_avatar.worker.cluster.node import AVATAR, JOB, PUBLISHED
from personal_avatar.worker.cluster.parcels import Ledger, Note

WEIGHTS = (YUNET.file_name, SFACE.file_name, MODNET.file_name, "insightface/**/*", *CHARACTERS, *DRAWN_DETECTORS)
CACHES = ("cache/",)  # of an avatar: made anew there, and large


@dataclass
class Luggage:
    """`sources`: name there -> file here; `own`: files of this job, `shared`: those of many; `taken`: names that the
    results may not have; `places`: where folders are here and there."""

    places: Places
    own: list[Note] = field(default_factory=list)
    shared: list[Note] = field(default_factory=list)
    sources: dict[str, Path] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)


def task_of(payload: dict[str, Any]) -> TrainTask:
    """Raises `InvalidSettings` for what cannot travel."""
    task = from_json(TrainTask, payload)
    if task.engine is Engine.KOHYA:
        raise stated(InvalidSettings, "failure.kohya_here", "remedy.diffusers_there")
    return task


def pack(task: TrainTask, folder: Path, home: str, ledger: Ledger) -> Luggage:
    """Everything that a training needs whose job lies in `folder` here and in `home` there. Raises `BaseNotFound`."""
    base = task.base
    if not base.path.is_file():
        raise stated(BaseNotFound, "failure.base_gone", place=base.path)
    photos = {photo: f"{home}/photos/{number:04d}{photo.suffix}" for number, photo in enumerate(task.photos)}
    loose = [photo for photo in task.photos if not photo.is_relative_to(task.avatar_folder)]
    luggage = Luggage(Places((
        (str(folder), f"{home}/{JOB}"), (str(task.avatar_folder), f"{home}/{AVATAR}"),
        (str(task.publish_to), f"{home}/{PUBLISHED}"), (str(task.weights_folder), f"{home}/weights"),
        *((str(photo), photos[photo]) for photo in loose), *_of_base(base, home),
    )))  # fmt: skip
    _add_own(luggage, task, folder, ledger)
    for photo in loose:
        _add(luggage, luggage.own, photo, f"photos/{Path(photos[photo]).name}", ledger)
    for path, name in _shared(task):
        known = base.sha256 if path == base.path else ""
        _add(luggage, luggage.shared, path, name, ledger, known)
    there = (path.name for folder in (task.publish_to, *task.beside) for path in files_below(folder))
    luggage.taken += sorted({name for name in there if name.startswith(stem_for(task))})
    return luggage


def _add(luggage: Luggage, to: list[Note], path: Path, name: str, ledger: Ledger, sha256: str = "") -> None:
    """`sha256`: where it is known already; the machine that receives the file looks whether it is true."""
    luggage.sources[name] = path
    to.append(Note(name, path.stat().st_size, sha256) if len(sha256) == 64 else ledger.note(path, name))


def _add_own(luggage: Luggage, task: TrainTask, folder: Path, ledger: Ledger) -> None:
    """The avatar's folder without its caches, and what an interrupted training left."""
    avatar = ledger.below(task.avatar_folder, AVATAR, lambda name: name.startswith(CACHES))
    kept = parts(folder / STATE_FOLDER)
    made = ledger.below(folder / ARTIFACTS_FOLDER, f"{JOB}/{ARTIFACTS_FOLDER}") if kept else []
    names = [*kept, STATE_COMPLETE] if kept else []
    state = [ledger.note(folder / STATE_FOLDER / name, f"{JOB}/{STATE_FOLDER}/{name}") for name in names]
    roots = {AVATAR: task.avatar_folder, JOB: folder}
    for note in [*avatar, *made, *state]:
        first, _, rest = note.path.partition("/")
        luggage.sources[note.path] = roots[first] / rest
        luggage.own.append(note)


def _of_base(base: BaseModelFile, home: str) -> list[tuple[str, str]]:
    return [(str(path), f"{home}/{name}") for path, name in _base_files(base)]


def _base_files(base: BaseModelFile) -> list[tuple[Path, str]]:
    wanted = ((base.path, "base"), (base.config, "base"), (base.vae, "vae"))
    return [(path, f"{folder}/{path.name}") for path, folder in wanted if path is not None and path.is_file()]


def _shared(task: TrainTask) -> Iterator[tuple[Path, str]]:
    """The checkpoint and the networks that look at photos: (file here, name there)."""
    yield from _base_files(task.base)
    for pattern in WEIGHTS:
        for path in sorted(task.weights_folder.glob(pattern)):
            if path.is_file():
                yield path, f"weights/{path.relative_to(task.weights_folder).as_posix()}"


def job_there(job: dict[str, Any], task: TrainTask, places: Places, cache: str) -> bytes:
    """`job.json` as it is there; `cache`: the folder there that trainings share."""
    moved = places.there(to_json(replace(task, sd_scripts="")))
    return json.dumps({**job, "payload": {**moved, "cache": cache}}, ensure_ascii=False).encode("utf-8")


def names(notes: Sequence[Note], folder: str) -> list[Note]:
    """Those below `folder`, with names as they are in it."""
    return [replace(note, path=note.path[len(folder) + 1 :]) for note in notes if note.path.startswith(f"{folder}/")]
