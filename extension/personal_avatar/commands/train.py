"""`personal-avatar train` and `personal-avatar generate`."""
from __future__ import annotations

import shutil
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from personal_avatar import documents
from personal_avatar.commands.common import (
    DOOR,
    exit_status,
    follow,
    local_studio,
    pictures,
    whoever_runs_this,
)
from personal_avatar.commands.people import avatar_named, tell_nearly
from personal_avatar.commands.photos import decided
from personal_avatar.domain import MEASURED, Engine, Method
from personal_avatar.errors import InvalidSettings
from personal_avatar.jobs.store import JobView
from personal_avatar.params import pairs
from personal_avatar.studio import CreateRequest, TrainRequest
from personal_avatar.studio.picking import free
from personal_avatar.terminal import Terminal, table
from personal_avatar.wording import memory, score, share, span

STATED_HERE = "Whoever ran this command stated that the person in the photos agreed."


def train(args: Namespace, terminal: Terminal) -> int:
    studio = local_studio(args.data, args.checkpoint)
    studio.queue.settle()
    photos = pictures(args.photos)
    request = TrainRequest(
        name=args.name, photos=tuple(photos), class_noun=args.class_noun, method=Method(args.method),
        engine=Engine(args.engine), plan=pairs([*([f"goal={args.goal}"] if args.goal else []), *args.pairs]),
        photo_settings=pairs(args.photo_pairs), choices=decided(args, photos),
        even_if_too_large=args.even_if_too_large,
        consent=STATED_HERE if args.consent is None else args.consent, stated_by=whoever_runs_this(), door=DOOR,
    )
    tell_nearly(studio, request.name, terminal)
    job = studio.trainings.start(request)
    for different in job.payload["otherwise"]:
        terminal.say(f"{different}.")
    view, interrupted = follow(studio, job, terminal)
    document = documents.training(view)
    show_training(document, terminal)
    terminal.document(document)
    return exit_status(studio, view, interrupted, terminal)


def show_training(document: dict[str, Any], terminal: Terminal) -> None:
    """What came of it, why this checkpoint, what to do better; only what is known."""
    for sentence in (*_measured(document), document["choice"], *document["advice"]):
        if sentence:
            terminal.say(sentence)
    if document["prompt"]:
        terminal.say(f"Write into a prompt: {document['prompt']}")
    for file in (*document["files"], document["report"]):
        if file:
            terminal.say(f"  {file}")
    if document["seconds"] is not None:
        peak = document["peak_memory_gb"]
        room = f", at most {memory(peak)} of memory" if peak else ""
        terminal.say(f"{document['state']} after {span(document['seconds'])}{room}")


def _measured(document: dict[str, Any]) -> Iterator[str]:
    """Likeness, or the resemblance of a style or an animal, and what it cost; nothing when the training ended before
    they were measured."""
    kind = next((kind for kind in MEASURED if document[kind]["after"] is not None), None)
    if kind is None:
        return
    found = document[kind]
    best = "real photos" if kind == "likeness" else "the pictures that were given"
    yield (f"{kind.capitalize()} {score(found['floor'])} before, {score(found['after'])} after; "
           f"{best}, passed through the checkpoint, {score(found['ceiling'])}. Recovered {share(found['recovered'])}.")
    yield (f"Leakage {score(document['leakage'])}, diversity {share(document['diversity'])}; prompts followed "
           f"{share(document['prompt_following_before'])} before, {share(document['prompt_following'])} after.")


def generate(args: Namespace, terminal: Terminal) -> int:
    if not (args.avatar or args.reference or args.image):
        ways = "personal-avatar generate --avatar NAME, --reference FILE or --image FILE"
        raise InvalidSettings("Nobody was named.", f"Name who it is: {ways}")
    studio = local_studio(args.data, args.checkpoint)
    studio.queue.settle()
    request = CreateRequest(
        avatar_id=avatar_named(studio, args.avatar).id if args.avatar else "", styles=tuple(args.style),
        prompt=args.prompt, negative_prompt=args.negative_prompt,
        settings={**pairs(args.pairs), "count": args.count, "seed": args.seed},
        references=tuple(pictures(args.reference)) if args.reference else (),
        identity=None if args.identity is None else pairs(args.identity), image=_file(args.image),
        strength=args.strength, file=args.file, pose=_file(args.pose), class_noun=args.class_noun,
        consent=STATED_HERE if args.consent is None else args.consent, stated_by=whoever_runs_this(), door=DOOR,
    )
    view, interrupted = follow(studio, studio.create(request), terminal)
    images = copied(view, args.out)
    terminal.say(table([(image["path"], score(image["likeness"]), image["style"]) for image in images]))
    terminal.document({"job": view.job.id, "state": view.status.state.value, "images": images,
                       "error": documents.plain_error(view)})
    return exit_status(studio, view, interrupted, terminal)


def _file(path: Path | None) -> Path | None:
    """The same path; raises `BadInput` when there is no such file."""
    return pictures([path])[0] if path is not None else None


def copied(view: JobView, out: Path) -> list[dict[str, Any]]:
    """Copy the pictures into `out`, named by rank from 001, the restored ones beside them; rows with the new paths."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for rank, image in enumerate((view.result or {}).get("images", []), start=1):
        row = dict(image)
        for key, mark in (("path", ""), ("restored", "-restored")):
            if image.get(key):
                target = free(out / f"{rank:03d}-{image['seed']}{mark}{Path(image[key]).suffix}")
                row[key] = str(shutil.copyfile(image[key], target))
        rows.append(row)
    return rows
