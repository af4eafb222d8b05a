"""`personal-avatar photos check` and `photos prepare`."""
from __future__ import annotations

from argparse import Namespace

from personal_avatar.commands.common import DONE, FAILED, local_studio, pictures
from personal_avatar.domain import PhotoReport
from personal_avatar.params import pairs
from personal_avatar.terminal import Terminal, table


def check(args: Namespace, terminal: Terminal) -> int:
    from personal_avatar.photos.report import to_document

    studio = local_studio(args.data)
    with terminal.bar("check") as bar:
        report = studio.check_photos(pictures(args.paths), on_progress=bar)
    show(report, terminal)
    terminal.document(to_document(report))
    return DONE


def show(report: PhotoReport, terminal: Terminal) -> None:
    """The report for people: a line for each photo, then advice."""
    rows = []
    for photo in report.photos:
        verdict = "ok" if photo.accepted else ", ".join(reason.value for reason in photo.reasons)
        rows.append((f"  {photo.path.name}", verdict, "" if photo.accepted else photo.detail))
    terminal.say(table(rows))
    terminal.say(f"{len(report.accepted)} of {len(report.photos)} photos can be used.")
    for advice in report.advice:
        terminal.say(f"  {advice.text}")


def prepare(args: Namespace, terminal: Terminal) -> int:
    from personal_avatar.photos.report import to_document

    settings = pairs(args.photo_pairs)
    studio = local_studio(args.data)
    with terminal.bar("check") as bar:
        report = studio.check_photos(pictures(args.paths), settings, on_progress=bar)
    if not report.accepted:
        show(report, terminal)
        terminal.complain("No photo can be used. Add sharper photos that show only one person.")
        return FAILED
    dataset = studio.prepare_photos(report, args.out, args.resolution, args.class_noun, settings)
    terminal.say(f"{len(dataset.samples)} pictures of {dataset.resolution_px} px with captions in {dataset.folder}")
    files = [str(dataset.folder / sample.image) for sample in dataset.samples]
    terminal.document({"folder": str(dataset.folder), "resolution_px": dataset.resolution_px,
                       "fingerprint": dataset.fingerprint, "files": files, "report": to_document(report)})
    return DONE
