"""Refusals that go from the page by themselves, as soon as what they tell is so no longer."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape

from personal_avatar.errors import AvatarError, WrongState
from personal_avatar.ui.markup import tag
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene

UNENDED = "unended"
SAID = re.compile('^<div data-pa-while="([a-z]+) ?([^"]*)">')
# By what a refusal is called: whether it still is so, of what was refused with it.
HOLDS: dict[str, Callable[[Scene, str], bool]] = {
    "noconsent": lambda scene, _: not scene.draft.consent,
    "nochecked": lambda scene, _: not scene.draft.accepted,
    "checking": lambda scene, _: scene.checking is not None,
    UNENDED: lambda scene, avatar_id: goes_on(scene, avatar_id),
}


def goes_on(scene: Scene, avatar_id: str) -> bool:
    """Whether a job of this person has not ended."""
    return any(view.job.avatar_id == avatar_id for view in scene.active)


def until_ended(error: WrongState, avatar_id: str, scene: Scene) -> None:
    """Note of a refusal that it holds while a job of this person has not ended, where there is one."""
    if goes_on(scene, avatar_id):
        error.details = {**error.details, UNENDED: avatar_id}


def marked(told: str, error: AvatarError) -> str:
    """HTML of a refusal with a note of what it hangs on, where that is known."""
    name, of = (UNENDED, str(error.details[UNENDED])) if UNENDED in error.details else (_key(error), "")
    return tag("div", told, data_pa_while=f"{name} {escape(of)}".strip()) if name in HOLDS else told


def holds(told: str, scene: Scene) -> bool:
    """Whether what `marked` made is still so; of anything else nobody knows better."""
    found = SAID.match(told)
    known = HOLDS.get(found[1]) if found else None
    return known is None or found is None or known(scene, found[2])


def _key(error: AvatarError) -> str:
    return error.key if isinstance(error, Refusal) else ""
