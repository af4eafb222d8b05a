"""Erasing: everything of a person, in the panel "Create"; a run with its pictures and photos, among the results."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.errors import BadInput, NotFound
from personal_avatar.jobs.store import JobView
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.people import chosen_avatar
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text


def build(page: Page, avatar: Any) -> None:
    """A folded part; `avatar` is the dropdown that says who."""
    _part(page, "erase", avatar, _erase)


def build_run(page: Page, run: Any, chosen: Callable[[Scene], JobView | None]) -> None:
    """The same for a run; `run` is the dropdown that says which, `chosen` finds it."""

    def erase(scene: Scene, wanted: str | None, sure: bool) -> list[Any]:
        scene.values["run"] = wanted
        view = chosen(scene)
        if view is None:
            raise Refusal(NotFound, "nopictures")
        if not sure:
            raise Refusal(BadInput, "unsure", name=scene.title(view))
        left = scene.studio.gallery.erase(view.job.id)["left"]
        return [False, box("good", scene.say("erase.done", name=scene.title(view)), ", ".join(left))]

    folded = _part(page, "run", run, erase)
    page.show(folded, lambda scene: {"visible": chosen(scene) is not None})


def _part(page: Page, what: str, chosen: Any, erase: Callable[..., list[Any]]) -> Any:
    """Statement, confirmation, button. `what`: the family of texts, "erase" or "run"."""
    name = "erase" if what == "erase" else f"erase_{what}"
    folded = gr.Accordion(text(f"{what}.title"), open=False, elem_id=elem_id(f"{name}_box"))
    with page.say(folded, label=f"{what}.title"):
        page.show(gr.HTML(elem_id=elem_id(f"{name}_info")), lambda scene: {"value": _info(f"{what}.info", scene)})
        sure = gr.Checkbox(False, label=text(f"{what}.sure"), elem_id=elem_id(f"{name}_sure"))
        button = gr.Button(text("erase.button"), variant="stop", elem_id=elem_id(name))
        page.say(sure, label=f"{what}.sure")
        page.say(button, value="erase.button")
        message = gr.HTML(elem_id=elem_id(f"{name}_message"))
        told = gr.HTML(elem_id=elem_id(name.replace("erase", "erased")))
    page.on(button.click, erase, [chosen, sure], [sure, told], message)
    return folded


def _info(key: str, scene: Scene) -> str:
    return tag("p", escape(scene.say(key)), class_="pa-note")


def _erase(scene: Scene, who: str | None, sure: bool) -> list[Any]:
    avatar = chosen_avatar(scene, who)
    if not sure:
        raise Refusal(BadInput, "unsure", name=avatar.name)
    left = scene.studio.delete_avatar(avatar.id)["left"]
    return [False, box("good", scene.say("erase.done", name=avatar.name), ", ".join(left))]
