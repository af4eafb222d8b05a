"""How much work a job is, and which jobs take the same time for the same work: what the history of jobs learns by.

A payload of another version costs no more than a guess.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import ONE_PHOTO, from_json
from personal_avatar.jobs.history import Effort
from personal_avatar.jobs.job import Job
from personal_avatar.studio.works import CREATE, INVENT, RANK, RESTORE, TRAIN
from personal_avatar.training.planning.estimate import in_loop
from personal_avatar.training.planning.plan import ON, resolution_of
from personal_avatar.training.planning.task import OnePhotoTask, TrainTask

# Settings, of some method or of all, that change what a step or a judged picture costs.
COSTLY = (
    "batch_size", "accumulate", "gpus", "gradient_checkpointing", "precision", "optimiser", "low_first", "prior_after",
    "shuffle_captions", "conv_rank", "dora", "blocks", "sample_steps", "score_pictures",
)


def effort(job: Job) -> Effort:
    """Raises `LookupError`, `TypeError` or `ValueError` for a payload of another version."""
    how = _KINDS.get(job.kind)
    return how(job.payload) if how else Effort()


def _training(task: dict[str, Any]) -> Effort:
    """Samples of a training step as they are reckoned: of a short training the most are in the pictures that its
    checkpoints are judged by. How long one takes is learned, of trainings whose steps and pictures cost as much."""
    training = from_json(TrainTask, task)
    plan, base = training.settings(), training.base
    parts = (
        training.method.value, training.engine.value, base.family.value, base.title, resolution_of(plan, base),
        plan.prior_from if plan.prior_weight > 0 else "", plan.trains_text, plan.stop_at > 0, plan.compile == ON,
        *(getattr(plan, name, "") for name in COSTLY),
    )
    return Effort(_key(*parts), in_loop(plan, plan.steps_for(len(training.photos))))


def _photos_alone(task: dict[str, Any]) -> Effort:
    """Pictures that are judged, each of as many steps and pixels."""
    training = from_json(OnePhotoTask, task).training
    plan, base = training.settings(), training.base
    return Effort(_key(base.title, resolution_of(plan, base), plan.sample_steps), float(plan.score_pictures))


def _portraits(task: dict[str, Any]) -> Effort:
    """Pictures, each of as many steps and pixels."""
    settings = task["settings"]
    pictures = settings["count"] * len(task["styles"])
    identity = (task.get("one_shot") or {}).get("identity") is not None
    parts = (settings["steps"], settings["width_px"], settings["height_px"], settings["restore"], identity)
    return Effort(_key(*parts), float(pictures))


def _invention(task: dict[str, Any]) -> Effort:
    """Candidates."""
    return Effort("candidates", float(task["settings"]["count"]))


def _given(task: dict[str, Any]) -> Effort:
    """Pictures that somebody gave; how many a folder holds is not known beforehand."""
    return Effort("pictures", float(len(task["images"]))) if task["images"] else Effort()


def _captions(task: dict[str, Any]) -> Effort:
    """Photos, described by one tagger."""
    return Effort(task["tagger"], float(len(task["names"])))


def _key(*parts: object) -> str:
    return "/".join(map(str, parts))


_KINDS: dict[str, Callable[[dict[str, Any]], Effort]] = {
    TRAIN: _training, ONE_PHOTO: _photos_alone, CREATE: _portraits, INVENT: _invention,
    RESTORE: _given, RANK: _given, CAPTION: _captions,
}
