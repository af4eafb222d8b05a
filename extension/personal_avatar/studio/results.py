"""What a job made of photos is taken into its avatar; photos that no job needs any more are erased."""
from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.caveats import told_in
from personal_avatar.domain import Avatar, Checkpoint, Method, from_json
from personal_avatar.errors import NotFound
from personal_avatar.jobs.endings import retell
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.photos import kohya
from personal_avatar.storage import sha256_of
from personal_avatar.studio.compared import views_of
from personal_avatar.studio.trained import lies_here
from personal_avatar.studio.works import COMPARED, TRAIN
from personal_avatar.training.planning.plan import ORIGINS
from personal_avatar.training.planning.task import TrainTask

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

CHECKPOINTS = (".safetensors", ".yaml")  # saved while a training ran, and what says how they are to be read


def taken(studio: Studio, job: Job, result: dict[str, Any]) -> None:
    """Take what a training made into the avatar; runs once, before the job counts as succeeded. Photos that were
    refused are erased with the last job that needs them."""
    if job.kind == TRAIN:
        _take(studio, job, result)
        _clear_out(studio.jobs.folder(job.id), result)
    if job.kind in COMPARED:
        used = {photo.name for photo in studio.avatars.photos(job.avatar_id)}
        studio.avatars.keep_photos(job.avatar_id, used | _awaited(studio, job.avatar_id, job.id))


def dropped(studio: Studio, view: JobView) -> None:
    """What only this job needed, which failed or was cancelled, is erased."""
    if view.job.kind not in COMPARED or view.status.state is State.SUCCEEDED:
        return
    with studio.starting:
        try:
            drop_unneeded(studio, view.job.avatar_id)
        except NotFound:
            return  # erased meanwhile


def drop_unneeded(studio: Studio, avatar_id: str, others: Collection[str] = (), origins: str | None = None) -> None:
    """Erase the photos of an avatar that are neither its own nor needed by a job, nor `others`, and what is kept of
    kohya datasets that no job needs, but `origins`; no training may be started meanwhile."""
    own = {photo.name for photo in studio.avatars.own_photos(avatar_id)}
    studio.avatars.keep_photos(avatar_id, own.union(others, _awaited(studio, avatar_id)))
    needed = {str(task.get("origins", "")) for task in _going(studio, avatar_id)}
    kohya.drop(studio.avatars.folder(avatar_id) / ORIGINS, needed.union(() if origins is None else (origins,)))


def _take(studio: Studio, job: Job, result: dict[str, Any]) -> None:
    avatar = studio.avatars.load(job.avatar_id)
    points = tuple(_measured(from_json(Checkpoint, data), result) for data in result["checkpoints"])
    found = [caveat for point in points for caveat in studio.host.published(point.path, point.method)]
    if found:
        retell(studio.jobs.folder(job.id), told_in(result, found))
    measured = result.get("resemblance") or any(point.likeness is not None for point in points)
    folders = studio.host.folders()
    lost = [one for one in avatar.checkpoints if not (one.path.is_file() or lies_here(one, folders))]
    if avatar.best is not None and not measured:  # cut short: one more file, beside those by which the person is known
        consent = from_json(TrainTask, job.payload).avatar.consent
        studio.avatars.save(avatar.with_consent(consent).with_checkpoints(points, lost))
        return
    if measured:
        studio.sizing.learn(job, result)
    studio.avatars.save(replace(
        _asked(studio, job, avatar).with_checkpoints(points, lost), reference=tuple(result["reference"]),
        recogniser=result["recogniser"], dataset_fingerprint=result["dataset_fingerprint"], job_id=job.id,
    ))


def _clear_out(folder: Path, result: Mapping[str, Any]) -> None:
    """Of a training whose files are as large as the checkpoint none stays besides the published one."""
    if result.get("method") != Method.DREAMBOOTH.value:
        return
    for file in (folder / ARTIFACTS_FOLDER).glob("*"):
        if file.suffix in CHECKPOINTS:
            file.unlink(missing_ok=True)


def _asked(studio: Studio, job: Job, avatar: Avatar) -> Avatar:
    """With what the training was asked for with: class, consent, and of its photos those that are used."""
    task = from_json(TrainTask, job.payload)
    used, asked = studio.avatars.used(avatar.id, [photo for photo in task.photos if photo.is_file()]), task.avatar
    if asked.consent is not None:
        avatar = avatar.narrowed(asked.consent, tuple(map(sha256_of, used)))
    return replace(
        avatar, class_noun=asked.class_noun, trigger=asked.trigger, base_title=asked.base_title,
        photos=tuple(photo.name for photo in used),
    )


def _awaited(studio: Studio, avatar_id: str, but: str = "") -> set[str]:
    """Names of the photos that jobs of the avatar need yet, or again; `but`: without that job."""
    return {Path(photo).name for task in _going(studio, avatar_id, but) for photo in task.get("photos", ())}


def _going(studio: Studio, avatar_id: str, but: str = "") -> list[dict[str, Any]]:
    """The tasks of jobs of the avatar that have not ended, or can be resumed; `but`: without that job."""
    others = (view for view in views_of(studio.jobs, avatar_id) if view.job.id != but)
    going = (one for one in others if one.status.state in ACTIVE or studio.queue.can_go_on(one))
    return [one.job.payload.get("training", one.job.payload) for one in going]


def _measured(point: Checkpoint, result: Mapping[str, Any]) -> Checkpoint:
    """With all by which it is compared with the person's other files, as a comparison compares them."""
    from personal_avatar.reports.comparison import place_of, scores_in

    return replace(point, scores=scores_in(result), place=json.dumps(place_of(result), sort_keys=True))
