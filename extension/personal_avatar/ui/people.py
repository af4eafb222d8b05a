"""Avatars as the page names them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from html import escape
from typing import Any

from personal_avatar.avatars import AVATAR_FILE
from personal_avatar.commandline import PROGRAM, named_here
from personal_avatar.domain import Avatar, Consent
from personal_avatar.errors import WrongState
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene


def avatars_by_label(scene: Scene) -> dict[str, Avatar]:
    """Avatars by what the page calls them: the name, and the id where a name is there twice."""
    names = Counter(avatar.name for avatar in scene.avatars)
    return {
        avatar.name if names[avatar.name] == 1 else f"{avatar.name} ({avatar.id})": avatar for avatar in scene.avatars
    }


def choices(scene: Scene) -> dict[str, Any]:
    """Choices of a dropdown; what was chosen stays chosen while it is there."""
    labels = list(avatars_by_label(scene))
    chosen = scene.values.get("avatar")
    return {"choices": labels, "value": chosen if chosen in labels else (labels[0] if labels else None)}


def chosen_avatar(scene: Scene, label: str | None) -> Avatar:
    """Raises `WrongState` when nobody was chosen."""
    avatar = avatars_by_label(scene).get(label or "")
    if avatar is None:
        raise Refusal(WrongState, "noavatar")
    return avatar


def damaged_html(scene: Scene) -> str:
    """Who is in no list because the file that says who that is was damaged, and what can be done."""
    if not scene.damaged_avatars:
        return ""
    title = scene.say("damaged.title", names=", ".join(scene.damaged_avatars))
    said = scene.say("damaged.said", file=AVATAR_FILE)
    remedy = scene.say("damaged.remedy", file=AVATAR_FILE, folder="avatars/" + scene.damaged_avatars[0])
    folders = scene.studio.host.folders()
    erase = scene.say("damaged.erase", command=f"{PROGRAM} avatars erase {scene.damaged_avatars[0]}")
    if folders.callers_name_folders:
        erase = named_here(erase, folders.data)
    return box("warn", title, said, f"{remedy} {erase}")


def agreed_html(scene: Scene) -> str:
    """Who stated when, and for how many photos, that the chosen person agreed; the newest statement first."""
    label = choices(scene)["value"]
    avatar = avatars_by_label(scene).get(label or "")
    if avatar is None or not avatar.consents:
        return ""
    lines = [tag("li", escape(_stated(consent, scene))) for consent in reversed(avatar.consents)]
    title = tag("summary", escape(scene.say("consent.title", n=len(lines))))
    return tag("details", title, tag("ul", *lines, class_="pa-advice"), id="pa-agreed")


def _stated(consent: Consent, scene: Scene) -> str:
    """In the words of whoever stated it."""
    photos = len(consent.photo_sha256)
    return scene.say(
        "consent.stated", who=consent.given_by, when=_moment(consent.given_at), n=photos, words=consent.statement
    )


def _moment(iso: str) -> str:
    """On this machine's clock, to the minute; as it was written where that is no time."""
    try:
        return datetime.fromisoformat(iso.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return iso
