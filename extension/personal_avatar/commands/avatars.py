"""`personal-avatar avatars`: list them, erase one with all that is here of it."""
from __future__ import annotations

from argparse import Namespace
from typing import Any

from personal_avatar.avatars import AVATAR_FILE
from personal_avatar.commands.common import DONE, local_studio
from personal_avatar.commands.people import command, erasable, word_for
from personal_avatar.domain import Avatar
from personal_avatar.errors import BadInput, InvalidSettings
from personal_avatar.studio import Studio
from personal_avatar.terminal import Terminal, table


def run(args: Namespace, terminal: Terminal) -> int:
    if args.action == "erase" and not args.avatar:
        raise InvalidSettings("No avatar was named.", "Name the avatar: personal-avatar avatars erase NAME_OR_ID")
    if args.action == "list" and args.avatar:
        raise InvalidSettings(f"avatars list is about all avatars: {args.avatar!r} says nothing.", "Leave it out.")
    studio = local_studio(args.data)
    if args.action == "list":
        return _list(studio, terminal)
    return _erase(studio, *erasable(studio, args.avatar), args.yes, terminal)


def _list(studio: Studio, terminal: Terminal) -> int:
    everybody = studio.avatars.all()
    told = studio.told_of(everybody)
    rows = [_row(avatar, one) for avatar, one in zip(everybody, told, strict=True)]
    damaged = studio.avatars.damaged()
    rows += [(one, "", "", "", f"{len(studio.avatars.given(one))} photos", "damaged", "") for one in damaged]
    terminal.say(table(rows) if rows else "There are no avatars yet.")
    for one in damaged:
        remedy = f"Mend it, or erase all of {one}: {command(studio, 'erase', one)}"
        terminal.complain(f"{one}: its {AVATAR_FILE} cannot be read. {remedy}")
    terminal.document({"models": told, "damaged": damaged})
    return DONE


def _row(avatar: Avatar, told: dict[str, Any]) -> tuple[str, ...]:
    file = avatar.best.path.name if avatar.best else ""
    photos = f"{told['photos']} photos"
    return avatar.id, avatar.created_at[:10], avatar.name, avatar.user_id, photos, told["state"], file


def _erase(studio: Studio, avatar_id: str, who: str, is_sure: bool, terminal: Terminal) -> int:
    """After a question, for it cannot be taken back; `is_sure`: without one."""
    question = f"Erase {who}: photos, trained files, portraits, jobs, statements of consent?"
    if not is_sure and not terminal.agrees(question):
        at_once = command(studio, "erase", word_for(studio, avatar_id), "--yes")
        raise BadInput("Nothing was erased.", f"Without a question: {at_once}")
    erased = studio.delete_avatar(avatar_id)
    terminal.say(f"{who} erased")
    for part in ("erased", "left"):
        for one in erased[part]:
            terminal.say(f"  {part}: {one}")
    if instead := erased.get("checkpoint"):
        terminal.say(f"The chosen checkpoint was among them; {instead} is used from now on.")
    terminal.document(erased)
    return DONE
