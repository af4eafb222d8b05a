"""The photos of a training: enough of them can be used, and they are cut and captioned."""

from __future__ import annotations

from collections import Counter

from personal_avatar.avatars import DATASET
from personal_avatar.domain import Dataset, PhotoReport, Reason
from personal_avatar.errors import TooFewPhotos
from personal_avatar.jobs.events import Log, Stage
from personal_avatar.training.plan import ENLARGED, ORIGINS
from personal_avatar.training.work import Work
from personal_avatar.wording import text

FEW = "error.TOO_FEW_PHOTOS"  # key of the sentence about them


def checked(work: Work) -> PhotoReport:
    """Enough photos can be used. Raises `TooFewPhotos`."""
    from personal_avatar.photos.report import check
    from personal_avatar.photos.together import cores
    from personal_avatar.photos.words import unfound

    task = work.task
    found = check(
        task.photos, work.analyser, work.photo_settings, lambda done, total: work.wishes.heed(), task.choices,
        at_once=cores(),
    )
    for told in unfound(found):
        work.emit(Log(told))
    if len(found.accepted) < work.plan.min_photos:
        raise TooFewPhotos(too_few(found, work.plan.min_photos), what_to_add(found, work.plan.is_style))
    return found


def too_few(found: PhotoReport, need: int) -> str:
    """Counts the reasons: `Found 1 usable photo, need 3 (2 blurred, 1 no face).`"""
    refused = [verdict for verdict in found.photos if not verdict.accepted]
    reasons = Counter(
        verdict.reasons[0].value.lower().replace("_", " ") if verdict.reasons else text(f"{FEW}.left_out")
        for verdict in refused
    )
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    usable = len(found.accepted)
    key = f"{FEW}.found_one" if usable == 1 else f"{FEW}.found"
    return text(key, usable=usable, need=need, why=f" ({why})" if why else "")


def what_to_add(found: PhotoReport, is_style: bool) -> str | None:
    """What would mend it; None: the usual."""
    refused = [verdict for verdict in found.photos if not verdict.accepted]
    if refused and all(Reason.UNREADABLE in verdict.reasons for verdict in refused):
        return text("remedy.pictures")
    return text("remedy.style_pictures") if is_style else None


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
        origins=kept(work.task.avatar_folder / ORIGINS),
        at_once=cores(),
        say=lambda sentence: work.emit(Log(sentence)),
    )
