"""Avatars as the page names them."""

from __future__ import annotations

from collections import Counter
from typing import Any

from personal_avatar.domain import Avatar
from personal_avatar.errors import WrongState
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
