"""Erasing: everything of a person, in the panel "Create"; a run with its pictures and photos, among the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.errors import BadInput, NotFound, WrongState
from personal_avatar.jobs.store import JobView
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.passing import until_ended
from personal_avatar.ui.people import chosen_avatar
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text

Chosen = Callable[[Scene], "JobView | None"]
Words = Callable[[JobView, Scene], str]


def build(page: Page, avatar: Any) -> None:
    """A folded part; `avatar` is the dropdown that says who."""

    def erase(scene: Scene, who: str | None, sure: bool) -> list[Any]:
        told = _erase(scene, who, sure)
        page.held.drop()
        return told

    _, sure = _part(page, "erase", [avatar], erase)
    page.say(sure, label="erase.sure")


def build_run(page: Page, run: Any, chosen: Chosen, words: Words) -> None:
    """The same for a run; `run` is the dropdown that says which, `chosen` finds it, `words` say what it is called.

    What the page named is erased, or nothing: the newest run, for one, may be another one by now.
    """
    named = page.keep(gr.Textbox("", visible=False, elem_id=elem_id("erase_run_id")))
    page.show(named, lambda scene: {"value": _id(chosen(scene))})

    def erase(scene: Scene, wanted: str | None, seen: str, sure: bool) -> list[Any]:
        scene.values["run"] = wanted
        view = chosen(scene)
        if view is None or view.job.id != seen:
            raise Refusal(NotFound, "rungone")
        if not sure:
            raise Refusal(BadInput, "unsure", name=scene.title(view))
        left = scene.studio.gallery.erase(view.job.id)["left"]
        page.held.drop()
        return [False, box("good", scene.say("erase.done", name=scene.title(view)), ", ".join(left))]

    def asked(scene: Scene) -> dict[str, Any]:
        view = chosen(scene)
        return {"label": scene.say("run.sure", run=words(view, scene) if view else ""), "value": False}

    folded, sure = _part(page, "run", [run, named], erase)
    page.show(sure, asked, watched=("label",))
    page.show(folded, lambda scene: {"visible": chosen(scene) is not None})


def _id(view: JobView | None) -> str:
    return view.job.id if view else ""


def _part(page: Page, what: str, chosen: Sequence[Any], erase: Callable[..., list[Any]]) -> tuple[Any, Any]:
    """Statement, confirmation, button; returns the whole and the confirmation. `what`: the family of texts, "erase" or
    "run"; `chosen`: widgets whose values say what is to be erased."""
    name = "erase" if what == "erase" else f"erase_{what}"
    folded = gr.Accordion(text(f"{what}.title"), open=False, elem_id=elem_id(f"{name}_box"))
    with page.say(folded, label=f"{what}.title"):
        page.show(gr.HTML(elem_id=elem_id(f"{name}_info")), lambda scene: {"value": _info(f"{what}.info", scene)})
        sure = gr.Checkbox(False, label=text(f"{what}.sure"), elem_id=elem_id(f"{name}_sure"))
        button = gr.Button(text("erase.button"), variant="stop", elem_id=elem_id(name))
        page.say(button, value="erase.button")
        message = page.passing(gr.HTML(elem_id=elem_id(f"{name}_message")))
        told = gr.HTML(elem_id=elem_id(name.replace("erase", "erased")))
    page.on(button.click, erase, [*chosen, sure], [sure, told], message)
    return folded, sure


def _info(key: str, scene: Scene) -> str:
    return tag("p", escape(scene.say(key)), class_="pa-note")


def _erase(scene: Scene, who: str | None, sure: bool) -> list[Any]:
    avatar = chosen_avatar(scene, who)
    if not sure:
        raise Refusal(BadInput, "unsure", name=avatar.name)
    try:
        told = scene.studio.delete_avatar(avatar.id)
    except WrongState as error:
        until_ended(error, avatar.id, scene)
        raise
    instead = scene.say("erase.checkpoint", name=told["checkpoint"]) if "checkpoint" in told else ""
    return [False, box("good", scene.say("erase.done", name=avatar.name), ", ".join(told["left"]), instead)]
