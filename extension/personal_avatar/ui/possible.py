"""Part of the panel "One photo": what works with the loaded checkpoint, what is missing, and its download."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import Family
from personal_avatar.errors import AvatarError, BaseUnsupported, InvalidSettings, WeightsMissing, WrongState
from personal_avatar.studio.oneshot import METHODS_OF, IdentityStatus
from personal_avatar.ui.fetching import Fetching, fetching_html
from personal_avatar.ui.markup import badge, box, error_box, facts, tag, words_of
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.weights.nouns import Weight
from personal_avatar.weights.registry import find

METHOD = "one_set_method"


def build(page: Page, method: Any) -> None:
    """Inside the current block. `method`: the widget that says which method is wanted."""
    fetching = Fetching()
    page.show(gr.HTML(elem_id=elem_id("one_possible")), lambda scene: {"value": _possible(scene)})
    agree = page.say(gr.Checkbox(False, label=text("one.agree"), visible=False, elem_id=elem_id("one_agree")),
                     label="one.agree")
    start = gr.Button(text("one.download"), visible=False, elem_id=elem_id("one_download"))
    page.show(gr.HTML(elem_id=elem_id("one_fetching")), lambda scene: {"value": fetching_html(fetching, scene)})
    stop = gr.Button(text("one.stop"), visible=False, elem_id=elem_id("one_stop"))
    message = gr.HTML(elem_id=elem_id("one_download_message"))

    def lacking(scene: Scene) -> dict[str, bool]:
        return {"visible": not fetching.state.running and bool(missing(scene))}

    def fetch(scene: Scene, chosen: str, agreed: bool) -> list[Any]:
        scene.values[METHOD] = chosen
        wanted = missing(scene)
        if not wanted:
            raise Refusal(WrongState, "nothingmissing")
        if not agreed:
            raise Refusal(InvalidSettings, "nolicence")
        fetching.start(wanted, folder_of(scene))
        return [False]

    def end(scene: Scene) -> list[Any]:
        fetching.stop()
        return []

    page.show(agree, lacking)
    page.show(page.say(start, value="one.download"), lacking)
    page.show(page.say(stop, value="one.stop"), lambda scene: {"visible": fetching.state.running})
    page.on(start.click, fetch, [method, agree], [agree], message)
    page.on(stop.click, end, [], [], message)


# -- what is missing


def folder_of(scene: Scene) -> Path:
    """Where downloads belong."""
    return scene.studio.host.folders().identity_folders[0]


def wanted_method(scene: Scene) -> str:
    """The method that would be used: the chosen one; of `auto` the first that works, else the first there could be."""
    found, chosen = scene.possible, scene.values.get(METHOD) or "auto"
    if chosen != "auto" or isinstance(found, AvatarError):
        return str(chosen)
    return next(iter((*found.methods, *(part.method for part in found.missing))), "auto")


def missing(scene: Scene) -> tuple[Weight, ...]:
    """Files that the wanted method lacks with the loaded checkpoint."""
    found, method = scene.possible, wanted_method(scene)
    if isinstance(found, AvatarError):
        return ()
    return tuple(find(name) for part in found.missing if part.method == method for name in part.weights)


def refuse_impossible(scene: Scene) -> None:
    """Raises `WeightsMissing` in the page's own words; what else is wrong is told by whoever makes the pictures."""
    if missing(scene):
        raise Refusal(WeightsMissing, "noweights", method=_name(wanted_method(scene), scene))


# -- telling


def _possible(scene: Scene) -> str:
    found = scene.possible
    if isinstance(found, AvatarError):
        return error_box(found, scene.language)
    if isinstance(scene.checkpoint, AvatarError):
        return error_box(scene.checkpoint, scene.language)
    if found.problem:
        return box("warn", scene.say("one.impossible"), *words_of(_problem(found), scene.language))
    head = tag("h3", escape(scene.say("one.possible")))
    title = facts([(scene.say("train.checkpoint"), found.checkpoint)])
    badges = tag("p", " ".join(_badges(found, scene)))
    return tag("div", head, title, badges, _files(scene), class_="pa-possible")


def _problem(found: IdentityStatus) -> AvatarError:
    return BaseUnsupported(found.problem, found.remedy)


def _badges(found: IdentityStatus, scene: Scene) -> Iterator[str]:
    for method in METHODS_OF[Family(found.family)]:
        ready = method in found.methods
        words = scene.say("one.ready" if ready else "one.lacking", method=_name(method, scene))
        yield badge("good" if ready else "warn", words)


def _files(scene: Scene) -> str:
    weights = missing(scene)
    if not weights:
        return ""
    title = tag("strong", escape(scene.say("one.files", method=_name(wanted_method(scene), scene))))
    items = "".join(tag("li", _file(weight)) for weight in weights)
    by_hand = tag("p", escape(scene.say("one.by_hand", folder=folder_of(scene))), class_="pa-note")
    return title + tag("ul", items, class_="pa-advice", lang="en") + by_hand


def _file(weight: Weight) -> str:
    """Name, size, licence and where it comes from, with links."""
    licence = tag("a", escape(weight.licence), href=weight.licence_url, target="_blank", rel="noopener noreferrer")
    words = f"{weight.name}, {weight.size_text}: {weight.purpose}. {weight.source}. "
    return escape(words) + licence


def _name(method: str, scene: Scene) -> str:
    return scene.say(f"identity.method.{method}")
