"""Answers of the API, built from what the studio returns."""
from __future__ import annotations

from typing import Any

from personal_avatar import documents
from personal_avatar.api.schemas import JobDocument, ModelDocument, PhotoCheck
from personal_avatar.documents import public
from personal_avatar.domain import Avatar, PhotoReport
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.photos.report import to_document
from personal_avatar.studio import Studio
from personal_avatar.studio.webhooks import told
from personal_avatar.studio.works import TRAIN

__all__ = ["accepted", "job", "model", "photo_check", "public"]


def accepted(studio: Studio, job: Job, seconds: float | None) -> dict[str, Any]:
    """The fields that both kinds of jobs answer with."""
    view = studio.jobs.view(job.id)
    status = "queued" if view.status.state is State.QUEUED else "processing"
    return {"status": status, "estimated_time": seconds, "position": view.position}


def job(view: JobView) -> JobDocument:
    """What is told of a job, by answers and by callbacks alike."""
    return JobDocument(**told(view))


def model(studio: Studio, avatar: Avatar) -> ModelDocument:
    """An avatar with its number of photos and whether it can be used."""
    count = len(studio.avatars.photos(avatar.id))
    return ModelDocument(**documents.avatar(avatar, count, _state(studio, avatar)))


def _state(studio: Studio, avatar: Avatar) -> str:
    active = studio.jobs.views(states=ACTIVE)
    if any(view.job.kind == TRAIN and view.job.avatar_id == avatar.id for view in active):
        return "training"
    return "ready" if avatar.best else "untrained"


def photo_check(report: PhotoReport) -> PhotoCheck:
    """The photo report, with the places in the request for names."""
    document = public(to_document(report))
    for number, photo in enumerate(document["photos"]):
        photo["path"] = f"images[{number}]"
    return PhotoCheck(**document)
