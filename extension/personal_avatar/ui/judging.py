"""Photos laid out, checked, decided about by hand, and judged again: what changes the report of a draft."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from personal_avatar.captions.files import caption_file
from personal_avatar.domain import PhotoChoice, PhotoReport, PhotoVerdict, means_animal
from personal_avatar.errors import BadInput, FileTooLarge, TooFewPhotos, WrongState
from personal_avatar.params import validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.ui.desk import NO_CAPTION_JOB, Desk, Draft
from personal_avatar.ui.photo_files import MOST_MB, by_size, chosen, copied, distinct, tidy
from personal_avatar.ui.photo_pictures import pictures_of
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.working import CHECK, JUDGE, Progress, Working

# What is quick is waited for, so that a decision and what follows from it appear together.
WAIT_S = 1.2
CHECKED_BY = tuple(
    name for name, field in PhotoSettings.__fields__.items() if field.field_info.title.startswith("check.")
)


# -- laying out


def lay_out(
    desk: Desk, key: str, files: list[Path], folder: str, instead: Mapping[str, Any] | None = None
) -> None:
    """Add photos to the draft and check all of them in the background. `instead`: lay them out in place of those that
    are there, and change these fields of the draft; a job that writes captions for those is not waited for any more.
    Nothing is changed when the photos are refused.

    Raises `TooFewPhotos`, `InvalidSettings` (too many), `FileTooLarge` (nothing else is there), `WrongState` while a
    check goes on, `NotFound` (folder).
    """
    before = desk.draft(key).photos if instead is None else ()
    fitting, left_out = by_size(chosen(files, folder if desk.ask_folder else ""))
    photos = distinct([*before, *fitting])
    more = [photo for photo in photos if photo not in before]
    if not photos and left_out:
        raise Refusal(FileTooLarge, "toolarge", names=", ".join(left_out), most=MOST_MB)
    if not photos:
        raise Refusal(TooFewPhotos, "nofiles")

    def copy() -> None:
        desk.open(key)
        kept = desk.draft(key).photos if instead is None else ()  # which nobody changes any more
        others = {} if instead is None else {**NO_CAPTION_JOB, **instead}
        _lay_in(desk, key, [*kept, *more], {**others, "report": None, "left_out": left_out})

    desk.work.start(key, CHECK, len(photos), lambda progress: _check(desk, key, progress), copy)


def _lay_in(desk: Desk, key: str, photos: list[Path], changes: Mapping[str, Any]) -> None:
    """Whatever ends it before its time, the draft and its photos are as they were; what is not of the draft then goes
    when photos are laid in again."""
    folder, began = desk.photos(key), desk.erased(key)
    _tidy(desk, key, photos)
    try:
        laid_out = copied(photos, folder)  # without the lock, as it takes its time
        with desk.lock:
            if not desk.outlived(key, began, folder):
                desk.histories.pop(key, None)  # its steps know photos by name alone, and others may have that now
                desk.note(key, **changes, photos=laid_out)
    finally:
        _tidy(desk, key)


def _tidy(desk: Desk, key: str, others: Sequence[Path] = ()) -> None:
    with desk.lock:  # no caption is half written
        tidy(desk.photos(key), {*desk.draft(key).photos, *others})


def _check(desk: Desk, key: str, progress: Progress) -> None:
    """Judge, and make the small pictures on the way, so that the page never waits for them."""
    draft, began = desk.draft(key), desk.erased(key)
    pictures = pictures_of(desk.folder(key))

    def told(done: int, total: int) -> None:
        pictures.small(draft.photos[done - 1])
        progress(done, total)

    try:
        report = judged(desk, draft, told)
    except Exception:
        if desk.outlived(key, began, pictures.folder / "small"):
            return
        raise
    with desk.lock:
        if not desk.outlived(key, began, pictures.folder / "small") and desk.draft(key).photos == draft.photos:
            desk.note(key, report=_with_choices(report, desk.draft(key)))


def judged(desk: Desk, draft: Draft, progress: Progress | None = None) -> PhotoReport:
    return desk.studio.check_photos(
        draft.photos, draft.asked, progress, draft.choices, remember=True, class_noun=draft.class_noun
    )


# -- decisions


def take(desk: Desk, key: str, name: str, wanted: bool | None) -> None:
    """Use a photo in spite of the verdict, leave it out, or (None) follow the verdict.

    Raises `NotFound`, and `BadInput` for a photo of which nothing can be used.
    """
    if wanted and not desk.draft(key).verdict(name).usable:
        raise Refusal(BadInput, "unusable", name=name)
    _decide(desk, key, name, lambda choice: replace(choice, take=wanted))


def mean(desk: Desk, key: str, name: str, face: int) -> None:
    """Say which of its faces is meant; that photo and the set are judged again. Raises `NotFound`."""
    if not 0 <= face < len(desk.draft(key).verdict(name).people):
        raise Refusal(BadInput, "nosuchface", name=name)
    _decide(desk, key, name, lambda choice: replace(choice, face=face))


def _decide(desk: Desk, key: str, name: str, change: Callable[[PhotoChoice], PhotoChoice]) -> None:
    with desk.lock:
        _refuse_while_checking(desk, key)
        draft = desk.draft(key)
        verdict = draft.verdict(name)
        if verdict.photo is None:
            raise Refusal(BadInput, "unusable", name=name)
        sha256 = verdict.photo.sha256
        choice = change(draft.choices.get(sha256, PhotoChoice()))
        decided = replace(draft, choices={**draft.choices, sha256: choice})
        desk.save(key, replace(decided, report=_with_choices(draft.report, decided)))
    judge_again(desk, key)


def remove(desk: Desk, key: str, name: str) -> None:
    """Take one photo out of the draft and erase its copy, with what was made of it. Raises `NotFound`."""
    with desk.lock:
        _refuse_while_checking(desk, key)
        draft = desk.draft(key)
        path = draft.verdict(name).path
        desk.save(key, draft.without(name))
        pictures_of(desk.folder(key)).forget(path)
        for file in (path, caption_file(path)):
            file.unlink(missing_ok=True)
        shutil.rmtree(desk.cuttings(key), ignore_errors=True)
        desk.studio.seen.forget(path)
    judge_again(desk, key)


def set_up(desk: Desk, key: str, settings: dict[str, Any]) -> None:
    """Other settings of the photos; judged again when they say what is accepted. Raises `InvalidSettings`."""
    validated(PhotoSettings, settings)
    before = desk.draft(key)
    desk.note(key, settings=settings)
    if any(before.settings.get(name) != settings.get(name) for name in CHECKED_BY):
        judge_again(desk, key)


def judge_again(desk: Desk, key: str) -> None:
    """In the background; waits a moment for it. Work that goes on already sees what was decided before it ends."""
    end = time.monotonic() + WAIT_S
    while judging(desk, key) is not None and time.monotonic() < end:
        time.sleep(0.02)
    with desk.lock:
        draft = desk.draft(key)
        if draft.report is None or desk.checking(key) is not None or judging(desk, key) is not None:
            return
        work = desk.work.start(key, JUDGE, len(draft.photos), lambda progress: _judge(desk, key, progress))
    work.join(max(0.0, end - time.monotonic()))


def _judge(desk: Desk, key: str, progress: Progress) -> None:
    while (draft := desk.draft(key)).report is not None:
        report = judged(desk, draft, progress)
        with desk.lock:
            now = desk.draft(key)
            if _judged_of(now) == _judged_of(draft):
                desk.note(key, report=report)
                return


def _judged_of(draft: Draft) -> tuple[Any, ...]:
    return draft.photos, draft.choices, draft.asked, means_animal(draft.class_noun)


def _with_choices(report: PhotoReport | None, draft: Draft) -> PhotoReport | None:
    """The report with the decisions of the draft in it, before anything is judged again."""

    def decided(verdict: PhotoVerdict) -> PhotoVerdict:
        choice = draft.choices.get(verdict.photo.sha256 if verdict.photo else "", PhotoChoice())
        return replace(verdict, choice=choice)

    return replace(report, photos=tuple(map(decided, report.photos))) if report is not None else None


def _refuse_while_checking(desk: Desk, key: str) -> None:
    if desk.checking(key) is not None:
        raise Refusal(WrongState, "checking")


def judging(desk: Desk, key: str) -> Working | None:
    """Whether decisions are being judged now."""
    return desk.work.now(key, JUDGE)
