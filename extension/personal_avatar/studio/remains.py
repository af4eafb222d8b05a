"""What a training by another program left whose process ended without a word: the files stay, all else goes."""

from __future__ import annotations

import shutil

from personal_avatar.domain import Engine
from personal_avatar.errors import AvatarError
from personal_avatar.jobs.control import DISCARD, Control
from personal_avatar.jobs.endings import last_word
from personal_avatar.jobs.store import Job, JobStore
from personal_avatar.storage import slug
from personal_avatar.studio.works import TRAIN
from personal_avatar.training.engines.kohya.outputs import FOLDER_NAME, KEPT
from personal_avatar.training.engines.kohya.remains import clear
from personal_avatar.wording import text


def cleared(store: JobStore, job: Job, error: AvatarError) -> AvatarError:
    """`error` with which `job` ends; it tells of the last file that is kept. A job that told of its end itself has
    cleared up already, and our own engine leaves nothing."""
    folder = store.folder(job.id)
    if job.kind != TRAIN or job.payload.get("engine") != Engine.KOHYA.value or last_word(folder) is not None:
        return error
    if Control(folder).asked(DISCARD):
        shutil.rmtree(folder / FOLDER_NAME, ignore_errors=True)
        return error
    last = clear(folder, slug(job.payload["avatar"]["name"]), store.view(job.id).total_steps)
    if last is not None:
        error.message += text(KEPT, step=last.step, place=last.path)
    return error
