"""`personal-avatar photos caption` and `photos lint`."""
from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from personal_avatar import documents
from personal_avatar.captions.files import caption_file, sharing
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.captions.taggers import BLIP
from personal_avatar.commands.common import DONE, FAILED, exit_status, follow, local_studio, pictures
from personal_avatar.params import from_pairs
from personal_avatar.studio import Studio
from personal_avatar.studio.captioning import Described, names_of, to_document
from personal_avatar.terminal import Terminal


def caption(args: Namespace, terminal: Terminal) -> int:
    """Files that are there already stay, and their photos are not looked at, unless --overwrite says otherwise."""
    studio, photos = local_studio(args.data), pictures(args.paths)
    kept = [] if args.overwrite else [photo for photo in photos if caption_file(photo).exists()]
    shared = sharing(photo for photo in photos if photo not in kept)
    wanted = [photo for photo in photos if photo not in (*kept, *shared)]
    described: Described | int = Described({}, {})
    if wanted:
        ask = _by_job if args.tagger == BLIP else _here
        described = ask(studio, wanted, args, terminal)
    if isinstance(described, int):
        return described
    studio.captions.write(described.captions, overwrite=args.overwrite)
    _show(replace(described, skipped={**described.skipped, **shared}), kept, terminal)
    return FAILED if wanted and not described.captions else DONE


def _here(studio: Studio, photos: list[Path], args: Namespace, terminal: Terminal) -> Described:
    with terminal.bar("caption") as bar:
        return studio.captions.describe(photos, args.tagger, bar, **_asked(args))


def _by_job(studio: Studio, photos: list[Path], args: Namespace, terminal: Terminal) -> Described | int:
    """What the job answered, or the exit status when it did not come to an end."""
    job = studio.captions.start(photos, args.tagger, **_asked(args))
    view, interrupted = follow(studio, job, terminal)
    if interrupted or view.result is None:
        terminal.document({"job": view.job.id, "state": view.status.state.value, "error": documents.plain_error(view)})
        return exit_status(studio, view, interrupted, terminal)
    by_name = dict(zip(names_of(photos), photos, strict=True))
    said, skipped = view.result["captions"], view.result["skipped"]
    return Described(
        {by_name[name]: text for name, text in said.items()}, {by_name[name]: why for name, why in skipped.items()}
    )


def _asked(args: Namespace) -> dict[str, Any]:
    settings = from_pairs(CaptionSettings, args.pairs).dict(exclude_unset=True)
    return {"trigger": args.trigger, "class_noun": args.class_noun, "settings": settings}


def _show(described: Described, kept: list[Path], terminal: Terminal) -> None:
    for photo, text in described.captions.items():
        terminal.say(f"  {photo.name}: {text}")
    for photo, why in described.skipped.items():
        terminal.complain(f"{photo.name}: {why}")
    if kept:
        terminal.say(f"{len(kept)} photos have a caption already; --overwrite replaces it.")
    terminal.document({
        "captions": [{"path": str(photo), "caption": text} for photo, text in described.captions.items()],
        "skipped": [{"path": str(photo), "reason": why} for photo, why in described.skipped.items()],
        "kept": [str(photo) for photo in kept],
    })


def lint(args: Namespace, terminal: Terminal) -> int:
    """What is wrong is told; with --mend it is written as it should be."""
    studio = local_studio(args.data)
    written = studio.captions.read(pictures(args.paths))
    by_name = {str(photo): photo for photo in written.captions}
    captions = {name: written.captions[photo] for name, photo in by_name.items()}
    found, mended = studio.captions.lint(captions, args.trigger, args.class_noun)
    changed = {name: text for name, text in mended.items() if text != captions[name]}
    for finding in found:
        terminal.say(f"  {by_name[finding.file].name}: {finding.what}")
    for name, text in changed.items():
        terminal.say(f"  {by_name[name].name} -> {text}")
    for problem in written.problems.values():
        terminal.complain(problem)
    if args.mend:
        studio.captions.write({by_name[name]: text for name, text in changed.items()}, overwrite=True)
    terminal.say(_summary(len(captions), len(changed), args.mend))
    terminal.document({
        "captions": len(captions), "findings": to_document(found), "mended": changed, "written": args.mend,
        "problems": list(written.problems.values()),
    })
    return FAILED if written.problems else DONE


def _summary(captions: int, changed: int, written: bool) -> str:
    if not captions:
        return "There are no captions beside these photos; `photos caption` writes them."
    if not changed:
        return f"{captions} captions, and nothing to mend."
    return f"{changed} of {captions} captions {'were mended' if written else 'can be mended: add --mend'}."
