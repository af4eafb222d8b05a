"""Kinds of jobs, and what those do that run in the process of the host. A new one is a function and a line in `WORKS`.

Trainings, and what photos alone do beside them, run in a process of their own: worker/kinds.py.
"""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.domain import ONE_PHOTO, Engine, from_json
from personal_avatar.errors import AvatarError
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.jobs.neighbours import Neighbourhood
from personal_avatar.jobs.store import Job, JobStore
from personal_avatar.params import validated
from personal_avatar.training.planning.task import OnePhotoTask, TrainTask
from personal_avatar.wording import DEFAULT, trained_by

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

TRAIN = "train"
CREATE = "create"
RESTORE = "restore"
RANK = "rank"
INVENT = "invent"
COMPARED = (TRAIN, ONE_PHOTO)  # kinds of jobs that stand in one table
ON_CARD = frozenset({"cache", "class", "compile", "train", "score"})  # stages of a training in which it is on the card

Work = Callable[["Studio", Job, Path, EventWriter, Control], dict[str, Any]]


def manner(job: Job, language: str = DEFAULT) -> str:
    """Of a training its method and engine in words, or that photos alone are used; "" for other kinds of jobs."""
    method = method_of(job)
    return trained_by(method, str(job.payload.get("engine", "")), language) if method else ""


def method_of(job: Job) -> str | None:
    """Of a training the code of its method, or that of photos alone; None for other kinds of jobs."""
    method = {TRAIN: job.payload.get("method"), ONE_PHOTO: ONE_PHOTO}.get(job.kind)
    return None if method is None else str(method)


def create(studio: Studio, job: Job, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Portraits; the payload is a `creating.CreateTask` as JSON."""
    from personal_avatar.studio.creating import CreateSettings, CreateTask
    from personal_avatar.studio.portraits import Session, make_portraits
    from personal_avatar.studio.retouching import Retouching
    from personal_avatar.studio.sitters import seated

    task = from_json(CreateTask, job.payload)
    avatar = studio.avatars.load(task.avatar_id) if task.avatar_id else None
    settings: CreateSettings = validated(CreateSettings, task.settings)
    files = {path.name: path for path in (folder / "photos").glob("*")}
    found = seated(studio, avatar, task.one_shot, files, settings.lora_weight)
    for sentence in found.remarks:
        emit(Log(sentence))
    retouch = Retouching(studio, avatar, found.photos, found.others, settings.max_likeness_drop)
    session = Session(found.sitter, found.base, settings, studio.host, found.scorer, folder, emit, control, retouch)
    return make_portraits(task.styles, session)


def restore(studio: Studio, job: Job, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Better faces in pictures; the payload is a `restoring.RestoreTask` as JSON."""
    from personal_avatar.studio.repairs import repair
    from personal_avatar.studio.restoring import RestoreTask

    return repair(studio, from_json(RestoreTask, job.payload), folder, emit, control)


def rank(studio: Studio, job: Job, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Existing pictures in order; the payload is a `rankings.RankTask` as JSON."""
    from personal_avatar.studio.rankings import RankTask
    from personal_avatar.studio.sortings import sort_pictures

    return sort_pictures(studio, from_json(RankTask, job.payload), folder, emit, control)


def invent(studio: Studio, job: Job, folder: Path, emit: EventWriter, control: Control) -> dict[str, Any]:
    """Photos of a character that does not exist; the payload is an `inventing.InventTask` as JSON."""
    from personal_avatar.studio import characters
    from personal_avatar.studio.inventing import InventTask

    return characters.invent(studio, from_json(InventTask, job.payload), folder, emit, control)


def can_pause(job: Job) -> bool:
    """Whether the work of a job can stop between two steps and go on later; not what another version asked for."""
    try:
        return job.kind == TRAIN and from_json(TrainTask, job.payload).can_pause
    except (AvatarError, LookupError, TypeError, ValueError):
        return False


def training_of(job: Job) -> TrainTask | None:
    """What a training is given, and what is measured beside trainings; None for other kinds of jobs."""
    if job.kind == ONE_PHOTO:
        return from_json(OnePhotoTask, job.payload).training
    return from_json(TrainTask, job.payload) if job.kind == TRAIN else None


def uses_card(job: Job) -> bool:
    """Trainings, and what is measured beside them."""
    return job.kind in COMPARED


def can_yield(job: Job) -> bool:
    """Of these not what another program trains, which knows of no wishes."""
    return uses_card(job) and job.payload.get("engine") != Engine.KOHYA.value


def neighbourhood_of(store: JobStore) -> Neighbourhood:
    """The jobs with which a picture shares the graphics card."""
    return Neighbourhood(store, uses_card, can_yield, ON_CARD)


WORKS: dict[str, Work] = {CREATE: create, RESTORE: restore, RANK: rank, INVENT: invent}
