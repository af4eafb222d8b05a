"""Answers of the API, built from what the studio returns."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from personal_avatar.api.schemas import JobDocument, ModelDocument, PhotoCheck
from personal_avatar.documents import public
from personal_avatar.domain import Avatar, PhotoReport
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.photos.report import to_document
from personal_avatar.studio import Studio
from personal_avatar.studio.trained import result_folders
from personal_avatar.studio.webhooks import told

__all__ = ["accepted", "erased", "job", "models", "photo_check", "public"]


def accepted(studio: Studio, job: Job, seconds: float | None) -> dict[str, Any]:
    """The fields that all kinds of jobs answer with. `seconds`: a guess, for where nothing was learned yet."""
    view = studio.jobs.view(job.id)
    return {
        "status": "queued" if view.status.state is State.QUEUED else "processing", "position": view.position,
        "estimated_time": seconds if view.eta_s is None else view.eta_s, "starts_in_s": view.starts_in_s,
    }


def job(view: JobView) -> JobDocument:
    """What is told of a job, by answers and by callbacks alike."""
    return JobDocument(**told(view))


def models(studio: Studio, avatars: Sequence[Avatar]) -> list[ModelDocument]:
    """Avatars as `Studio.told_of` tells them."""
    return [ModelDocument(**one) for one in studio.told_of(avatars)]


def erased(studio: Studio, told: dict[str, list[str]]) -> dict[str, Any]:
    """What was erased and what is left; of trained files with the folder that says what they are
    ("Lora/anna.safetensors")."""
    homes = result_folders(studio.host.folders())
    named = {part: [_below(homes, Path(one)) for one in told[part]] for part in ("erased", "left")}
    return dict(public({**told, **named}))


def _below(homes: Iterable[Path], path: Path) -> str:
    """With the innermost of `homes` that it lies in."""
    home = max((home for home in homes if path.is_relative_to(home)), key=lambda home: len(home.parts), default=None)
    return str(path) if home is None else (home.name / path.relative_to(home)).as_posix()


def photo_check(report: PhotoReport) -> PhotoCheck:
    """The photo report, with the places in the request for names."""
    document = public(to_document(report))
    for number, photo in enumerate(document["photos"]):
        photo["path"] = f"images[{number}]"
    return PhotoCheck(**document)
