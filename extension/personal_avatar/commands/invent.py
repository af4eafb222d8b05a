"""`personal-avatar invent`."""
from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from personal_avatar import commandline, documents
from personal_avatar.captions.files import copy_with_caption
from personal_avatar.commands.common import exit_status, follow, local_studio
from personal_avatar.commands.people import avatar_named
from personal_avatar.errors import InvalidSettings
from personal_avatar.jobs.store import JobView
from personal_avatar.params import pairs
from personal_avatar.studio import Studio
from personal_avatar.studio.inventing import InventRequest
from personal_avatar.studio.picking import free
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import score

NUMBERS = ("similarity", "runner_up", "needed", "made", "usable", "recogniser", "look", "checkpoint")


def invent(args: Namespace, terminal: Terminal) -> int:
    if not (args.description or args.avatar):
        ways = "personal-avatar invent --description TEXT, or --avatar NAME"
        raise InvalidSettings("Nobody was described.", f"Say who it is: {ways}")
    studio = local_studio(args.data, args.checkpoint)
    studio.queue.settle()
    avatar = avatar_named(studio, args.avatar) if args.avatar else None
    request = InventRequest(
        description=args.description, class_noun=args.class_noun, count=args.count, keep=args.keep, seed=args.seed,
        avatar_id=avatar.id if avatar else "", settings=pairs(args.pairs),
    )
    view, interrupted = follow(studio, studio.invention.start(request), terminal)
    images = taken(studio, view, args.out)
    _tell(view, images, args, avatar.name if avatar else "NAME", terminal)
    terminal.document({
        "job": view.job.id, "state": view.status.state.value, "images": images,
        **{name: (view.result or {}).get(name) for name in NUMBERS}, "error": documents.plain_error(view),
    })
    return exit_status(studio, view, interrupted, terminal)


def taken(studio: Studio, view: JobView, out: Path) -> list[dict[str, Any]]:
    """Copy what a training should learn from into `out`, captions beside, the avatar's own photos first; rows with the
    new paths of the pictures that were kept."""
    if not view.result:
        return []
    out = free(out) if out.is_dir() and any(out.iterdir()) else out  # others' pictures are not mixed with these
    out.mkdir(parents=True, exist_ok=True)
    kept, rows = set(studio.invention.kept(view.job.id)), []
    for place, photo in enumerate(studio.invention.photos(view.job.id), start=1):
        target = out / f"{place:03d}{photo.suffix.lower()}"
        copy_with_caption(photo, target)
        if photo in kept:
            rows.append({**_record(view, photo), "path": str(target)})
    return rows


def _record(view: JobView, photo: Path) -> dict[str, Any]:
    images = (view.result or {}).get("images", [])
    return next(({name: row[name] for name in ("seed", "prompt", "likeness")} for row in images
                 if Path(row["path"]) == photo), {})


def _tell(view: JobView, images: list[dict[str, Any]], args: Namespace, name: str, terminal: Terminal) -> None:
    if not images:
        return
    terminal.say(table([(row["path"], score(row["likeness"])) for row in images]))
    noun = view.job.payload.get("class_noun", args.class_noun)
    folder = Path(images[0]["path"]).parent
    words = ("train", "--photos", str(folder), "--name", name, "--class", noun)
    terminal.say(f"Next: {commandline.line(['personal-avatar', *words])}")
