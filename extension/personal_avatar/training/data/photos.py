"""The photos of a training: enough of them can be used, and they are cut and captioned."""

from __future__ import annotations

from personal_avatar.domain import Dataset, PhotoReport
from personal_avatar.jobs.events import Log, Stage
from personal_avatar.linked import DATASET
from personal_avatar.training.planning.plan import ENLARGED
from personal_avatar.training.work import Work


def checked(work: Work) -> PhotoReport:
    """Enough photos can be used. Raises `TooFewPhotos`."""
    from personal_avatar.photos.advice import ANIMAL, with_animal
    from personal_avatar.photos.enough import refuse_few
    from personal_avatar.photos.report import check
    from personal_avatar.photos.together import cores
    from personal_avatar.photos.words import unfound

    task = work.task
    found = check(
        task.photos, work.analyser, work.photo_settings, lambda done, total: work.wishes.heed(), task.choices,
        at_once=cores(),
    )
    found = with_animal(found, task.avatar.class_noun, work.photo_settings)
    for told in (*unfound(found), *(one.text for one in found.advice if one.code == ANIMAL)):
        work.emit(Log(told))
    refuse_few(found, work.plan.min_photos, work.plan.is_style)
    return found


def prepared(work: Work, photos: PhotoReport) -> Dataset:
    """Crops and captions in the avatar's folder, a part of them held out for the scores."""
    from personal_avatar.photos.kohya import kept
    from personal_avatar.photos.prepare import prepare
    from personal_avatar.photos.together import cores

    work.emit(Stage("prepare"))
    avatar = work.task.avatar
    return prepare(
        photos,
        work.task.avatar_folder / DATASET,
        resolution_px=work.resolution_px,
        trigger=avatar.trigger,
        class_noun=avatar.class_noun,
        held_out=work.plan.held_out,
        seed=work.plan.seed,
        analyser=work.analyser,
        settings=work.photo_settings,
        weights_folder=work.task.weights_folder,
        enlargements=work.task.avatar_folder / ENLARGED,
        origins=kept(work.task.origins_folder),
        at_once=cores(),
        ours=True,
        say=lambda sentence: work.emit(Log(sentence)),
    )
