"""`personal-avatar photos check` and `photos prepare`."""
from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from personal_avatar.captions.files import caption_file, refuse_unusable, sharing
from personal_avatar.commands.common import DONE, local_studio, pictures
from personal_avatar.domain import PhotoChoice, PhotoReport, PhotoVerdict
from personal_avatar.errors import InvalidSettings, TooFewPhotos
from personal_avatar.params import pairs, validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.photos.words import unfound
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import text


def check(args: Namespace, terminal: Terminal) -> int:
    from personal_avatar.photos.report import to_document

    settings = pairs(args.photo_pairs)
    studio = local_studio(args.data)
    paths = pictures(args.paths)
    with terminal.bar("check") as bar:
        report = studio.check_photos(paths, settings, bar, decided(args, paths), class_noun=args.class_noun)
    show(report, terminal)
    for told_of in sharing(photo for photo in paths if os.path.isfile(caption_file(photo))).values():
        terminal.complain(told_of)
    try:
        _refuse_captions(report, validated(PhotoSettings, settings))
    except InvalidSettings as error:
        terminal.document({**to_document(report), "error": error.to_json()})
        raise
    terminal.document(to_document(report))
    return DONE


def _refuse_captions(report: PhotoReport, settings: PhotoSettings) -> None:
    """Raises `InvalidSettings` for those that a training would refuse."""
    if settings.caption_files:
        refuse_unusable(photo.path for photo in report.photos if photo.choice.take is not False)


def decided(args: Namespace, photos: Sequence[Path]) -> dict[str, PhotoChoice]:
    """What --take, --leave and --face say. Raises `BadInput`."""
    from personal_avatar.photos.choices import choices_of

    return choices_of(photos, args.take, args.leave, args.face)


def show(report: PhotoReport, terminal: Terminal) -> None:
    """The report for people: a line for each photo, then advice."""
    terminal.say(table([(f"  {photo.path.name}", verdict_of(photo), told(photo)) for photo in report.photos]))
    terminal.say(f"{len(report.accepted)} of {len(report.photos)} photos can be used.")
    for advice in report.advice:
        terminal.say(f"  {advice.text}")


def verdict_of(photo: PhotoVerdict) -> str:
    reasons = ", ".join(reason.value for reason in photo.reasons)
    if photo.accepted:
        return f"taken by hand ({reasons})" if reasons else "ok"
    return reasons or "left out by hand"


def told(photo: PhotoVerdict) -> str:
    """Why it is rejected, or what is worth knowing of a good one."""
    if photo.reasons:
        return photo.detail
    return " ".join(text(f"remark.{code}", **photo.values) for code in photo.remarks)


def prepare(args: Namespace, terminal: Terminal) -> int:
    from personal_avatar.photos.report import to_document

    settings = pairs(args.photo_pairs)
    studio = local_studio(args.data)
    paths = pictures(args.paths)
    with terminal.bar("check") as bar:
        report = studio.check_photos(paths, settings, bar, decided(args, paths), class_noun=args.class_noun)
    if not report.accepted:
        show(report, terminal)
        error = TooFewPhotos("No photo can be used.", "Add sharper photos that show only one person.")
        terminal.document({"report": to_document(report), "error": error.to_json()})
        raise error
    for told_of in unfound(report):
        terminal.complain(told_of)
    dataset = studio.prepare_photos(report, args.out, args.resolution, args.class_noun, settings, terminal.say)
    terminal.say(f"{len(dataset.samples)} pictures of {dataset.resolution_px} px with captions in {dataset.folder}")
    files = [str(dataset.folder / sample.image) for sample in dataset.samples]
    terminal.document({"folder": str(dataset.folder), "resolution_px": dataset.resolution_px,
                       "fingerprint": dataset.fingerprint, "files": files, "report": to_document(report)})
    return DONE
