"""Part of the panel "Train": whether a comparison takes the photos alone along, too, and why it could not."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.errors import AvatarError
from personal_avatar.studio import TrainRequest
from personal_avatar.ui.markup import tag, title_of, words_of
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.plan import Chosen
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text

NAME = "compare_one_photo"


def build(page: Page, chosen: Callable[[Scene], Chosen]) -> Any:
    """The box to tick, inside the current block: ticked and free where that can be done."""
    ticked = page.say(gr.Checkbox(True, label=text("compare.one_photo"), elem_id=elem_id(NAME)),
                      label="compare.one_photo")

    def offered(scene: Scene) -> dict[str, Any]:
        possible = lacking(scene, chosen(scene)) is None
        return {"value": possible, "interactive": possible}

    return page.fill(NAME, ticked, offered)


def lacking(scene: Scene, chosen: Chosen) -> AvatarError | None:
    """Why nothing can be made of the photos without training; None also where the page says already that nothing can
    be trained."""
    draft = scene.draft
    request = TrainRequest(
        draft.name, draft.accepted, draft.class_noun, plan=chosen.plan, photo_settings=draft.settings,
        consent="",  # nothing starts by it
    )
    if isinstance(scene.checkpoint, AvatarError):
        return None
    return scene.studio.comparing.lacks_one_photo(request)


def why_not_html(scene: Scene, chosen: Chosen) -> str:
    """In English where the page does not know it; empty where it can be done."""
    error = lacking(scene, chosen)
    if error is None:
        return ""
    said, remedy, english = words_of(error, scene.language)
    why = " ".join(filter(None, [said or title_of(error, scene.language), remedy]))
    told = tag("p", escape(scene.say("compare.not_alone", why=why)), class_="pa-note")
    return told + (tag("p", escape(english), lang="en") if english else "")
