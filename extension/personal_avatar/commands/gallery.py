"""`personal-avatar gallery`: list runs or the pictures of one, mark favourites, delete, export."""
from __future__ import annotations

import os
import time
from argparse import Namespace
from typing import Any

from personal_avatar import documents
from personal_avatar.albums.archive import is_ours
from personal_avatar.albums.entries import PARTS, RANK, Entry, arranged, parts_of, wanted
from personal_avatar.commands.common import DONE, local_studio
from personal_avatar.commands.jobs import job_named
from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import refused
from personal_avatar.studio import Studio
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import score

NEEDED = {"list": "", "favourite": "ID N", "unfavourite": "ID N", "delete": "ID N", "export": "ID --out FILE"}


def run(args: Namespace, terminal: Terminal) -> int:
    lacks_number = args.action in ("favourite", "unfavourite", "delete") and not args.numbers
    lacks_file = args.action == "export" and args.out is None
    if (args.action != "list" and not args.id) or lacks_number or lacks_file:
        wanted_words = f"personal-avatar gallery {args.action} {NEEDED[args.action]}"
        raise InvalidSettings("Something is missing in this command.", f"Write: {wanted_words}")
    if (args.filter or args.sort != RANK) and not (args.id and args.action in ("list", "export")):
        said = "--sort and --filter choose among the pictures of one run that are listed or exported."
        raise InvalidSettings(said, "Leave them out, or write: personal-avatar gallery list ID")
    if args.action == "export" and os.path.lexists(args.out) and not is_ours(args.out):
        raise refused("problem.no_export", "remedy.free_file", file=args.out)
    studio = local_studio(args.data)
    if not args.id:
        return _runs(studio, terminal)
    actions = {"list": _list, "favourite": _like, "unfavourite": _like, "delete": _delete, "export": _export}
    return actions[args.action](studio, job_named(studio, args.id), args, terminal)


def _runs(studio: Studio, terminal: Terminal) -> int:
    rows, told = [], []
    for view in studio.gallery.runs():
        entries = studio.gallery.of(view.job.id)
        liked = sum(entry.favourite for entry in entries)
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(view.job.created_at))
        rows.append((view.job.id[:8], made, view.job.title, f"{len(entries)} pictures", f"{liked} favourites"))
        told.append({"id": view.job.id, "title": view.job.title, "model_id": view.job.avatar_id,
                     "created_at": view.job.created_at, "pictures": len(entries), "favourites": liked})
    terminal.say(table(rows) if rows else "There are no pictures yet.")
    terminal.document({"runs": told})
    return DONE


def _list(studio: Studio, job_id: str, args: Namespace, terminal: Terminal) -> int:
    entries = arranged(studio.gallery.of(job_id), args.sort, wanted(args.filter))
    known = parts_of(entries)
    rows = [("", *(part for part in known), "", "")]
    for entry in entries:
        scores = (score(entry.score(part)) for part in known)
        rows.append((str(entry.number), *scores, "favourite" if entry.favourite else "", str(entry.shown)))
    terminal.say(table(rows) if entries else "There are no such pictures.")
    terminal.document({"images": [_told(entry) for entry in entries]})
    return DONE


def _told(entry: Entry) -> dict[str, Any]:
    portrait = entry.portrait
    restored = str(portrait.restored) if portrait.restored else None
    return {
        "n": entry.number, "path": str(portrait.path), "restored": restored,
        "favourite": entry.favourite, "likeness": entry.likeness, "faces": portrait.faces, "seed": portrait.seed,
        "style": portrait.style, "prompt": portrait.prompt,
        "scores": documents.plain({part: entry.score(part) for part in PARTS}),
    }


def _like(studio: Studio, job_id: str, args: Namespace, terminal: Terminal) -> int:
    liked = args.action == "favourite"
    entries = [studio.gallery.favourite(job_id, one, liked) for one in args.numbers]
    for entry in entries:
        terminal.say(f"{job_id[:8]}: picture {entry.number} is {'a' if liked else 'no'} favourite")
    terminal.document({"images": [_told(entry) for entry in entries]})
    return DONE


def _delete(studio: Studio, job_id: str, args: Namespace, terminal: Terminal) -> int:
    told = [studio.gallery.delete(job_id, one, args.host_files) for one in args.numbers]
    for row in told:
        terminal.say(f"{job_id[:8]}: picture {row['number']} deleted")
        for path in row["left"]:
            terminal.say(f"  left: {path}")
    terminal.document({"images": told})
    return DONE


def _export(studio: Studio, job_id: str, args: Namespace, terminal: Terminal) -> int:
    found = arranged(studio.gallery.of(job_id), args.sort, wanted(args.filter))
    chosen = [entry for entry in found if not args.numbers or entry.number in args.numbers]
    with terminal.bar("export") as bar:
        studio.gallery.pack(chosen, args.out, args.size, args.format, bar)
    terminal.say(str(args.out))
    terminal.document({"out": str(args.out), "images": [_told(entry) for entry in chosen]})
    return DONE
