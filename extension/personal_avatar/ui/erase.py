"""Part of the panel "Create": erase everything of the person that is chosen there."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from personal_avatar.errors import BadInput
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.people import chosen_avatar
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text


def build(page: Page, avatar: Any) -> None:
    """A folded part; `avatar` is the dropdown that says who."""
    folded = gr.Accordion(text("erase.title"), open=False, elem_id=elem_id("erase_box"))
    with page.say(folded, label="erase.title"):
        page.show(gr.HTML(elem_id=elem_id("erase_info")), lambda scene: {"value": _info(scene)})
        sure = page.say(gr.Checkbox(False, label=text("erase.sure"), elem_id=elem_id("erase_sure")), label="erase.sure")
        button = gr.Button(text("erase.button"), variant="stop", elem_id=elem_id("erase"))
        page.say(button, value="erase.button")
        message, told = gr.HTML(elem_id=elem_id("erase_message")), gr.HTML(elem_id=elem_id("erased"))
    page.on(button.click, _erase, [avatar, sure], [sure, told], message)


def _info(scene: Scene) -> str:
    return tag("p", escape(scene.say("erase.info")), class_="pa-note")


def _erase(scene: Scene, who: str | None, sure: bool) -> list[Any]:
    avatar = chosen_avatar(scene, who)
    if not sure:
        raise Refusal(BadInput, "unsure", name=avatar.name)
    left = scene.studio.delete_avatar(avatar.id)["left"]
    return [False, box("good", scene.say("erase.done", name=avatar.name), ", ".join(left))]
