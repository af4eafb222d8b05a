"""What a job made of photos is taken into its avatar; photos that no job needs any more are erased."""
from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.caveats import told_in
from personal_avatar.domain import Avatar, Checkpoint, Consent, from_json
from personal_avatar.jobs.endings import retell
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import Job
from personal_avatar.storage import sha256_of
from personal_avatar.studio.compared import views_of
from personal_avatar.studio.works import COMPARED, TRAIN

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio


def taken(studio: Studio, job: Job, result: dict[str, Any]) -> None:
    """Take what a training made into the avatar; runs once, before the job counts as succeeded. Photos that were
    refused are erased with the last job that needs them."""
    if job.kind == TRAIN:
        _take(studio, job, result)
    if job.kind in COMPARED:
        used = {photo.name for photo in studio.avatars.photos(job.avatar_id)}
        studio.avatars.keep_photos(job.avatar_id, used | _awaited(studio, job))


def _take(studio: Studio, job: Job, result: dict[str, Any]) -> None:
    avatar = studio.avatars.load(job.avatar_id)
    points = tuple(_measured(from_json(Checkpoint, data), result) for data in result["checkpoints"])
    found = [caveat for point in points for caveat in studio.host.published(point.path, point.method)]
    if found:
        retell(studio.jobs.folder(job.id), told_in(result, found))
    measured = result.get("resemblance") or any(point.likeness is not None for point in points)
    if avatar.best is not None and not measured:
        return  # cut short before it was measured: the earlier file stays in use
    if measured:
        studio.sizing.learn(job, result)
    studio.avatars.save(replace(
        avatar.with_checkpoints(points), reference=tuple(result["reference"]), recogniser=result["recogniser"],
        dataset_fingerprint=result["dataset_fingerprint"], job_id=job.id, consent=_narrowed(studio, avatar),
    ))


def _narrowed(studio: Studio, avatar: Avatar) -> Consent | None:
    """To the photos that are used."""
    used = tuple(map(sha256_of, studio.avatars.photos(avatar.id)))
    return replace(avatar.consent, photo_sha256=used) if avatar.consent else None


def _awaited(studio: Studio, job: Job) -> set[str]:
    """Names of the photos that other jobs of the avatar need yet, or again."""
    others = (view for view in views_of(studio.jobs, job.avatar_id) if view.job.id != job.id)
    going = (one for one in others if one.status.state in ACTIVE or studio.queue.can_go_on(one))
    given = (one.job.payload.get("training", one.job.payload).get("photos", ()) for one in going)
    return {Path(photo).name for photos in given for photo in photos}


def _measured(point: Checkpoint, result: Mapping[str, Any]) -> Checkpoint:
    """With all by which it is compared with the person's other files, as a comparison compares them."""
    from personal_avatar.reports.comparison import place_of, scores_in

    return replace(point, scores=scores_in(result), place=json.dumps(place_of(result), sort_keys=True))
