"""Panel "Results": pictures of a run, of a person or of all; order, filters, hearts, comparison, ways to keep them."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.albums.entries import PARTS, SORTS
from personal_avatar.ui import erase, gallery_actions, gallery_export
from personal_avatar.ui import gallery_choice as choice
from personal_avatar.ui.gallery_cards import gallery_html
from personal_avatar.ui.gallery_large import large_words
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text

PANELS = ("photos", "train", "create", "one_photo", "invent", "results", "rank", "jobs")


def build(page: Page) -> Any:
    """The panel, inside the current tab; returns the widget that says whose pictures are shown."""
    steering = _steering(page)
    picked = page.read(choice.PICKED, gr.Textbox("", visible=False, elem_id=elem_id(choice.PICKED)))
    at = page.read(choice.AT, gr.Textbox("", visible=False, elem_id=elem_id(choice.AT)))
    told = gallery_actions.build(page, picked, at)
    shelf = page.shelf("gallery")
    page.show(shelf.component, lambda scene: {"value": gallery_html(scene, shelf, page.destinations)})
    page.show(gr.HTML(elem_id=elem_id("words"), visible=False), _words)
    gallery_export.build(page, {**steering, choice.PICKED: picked})
    gallery_actions.build_deletion(page, picked, told)
    erase.build_run(page, steering[choice.RUN], choice.chosen_run, choice.run_label)
    return steering[choice.RUN]


def _steering(page: Page) -> dict[str, Any]:
    """Widgets that say what is shown, by the names under which their values are read."""
    with gr.Row(elem_classes="pa-top", equal_height=False):
        newest, rank = text("results.newest"), text("results.sort.rank")
        run = gr.Dropdown([newest], value=newest, label=text("results.run"), min_width=240, elem_id=elem_id("run"))
        sort = gr.Dropdown(
            [rank], value=rank, label=text("results.sort"), min_width=200, elem_id=elem_id(choice.SORT)
        )
    page.show(page.say(page.read(choice.RUN, run), label="results.run"), _shown, watched=("choices",))
    page.show(page.say(page.read(choice.SORT, sort), label="results.sort"), _orders, watched=("choices",))
    return {choice.RUN: run, choice.SORT: sort, **_filters(page)}


def _filters(page: Page) -> dict[str, Any]:
    """Marks and a lowest value for each part of the score, folded away."""
    found: dict[str, Any] = {}
    folded = gr.Accordion(text("results.filter"), open=False, elem_id=elem_id("filter_box"))
    with page.say(folded, label="results.filter"):
        page.show(gr.HTML(elem_id=elem_id("filter_info")), _about_filters)
        with gr.Row(elem_classes="pa-settings"):
            for name, key in choice.ONLY.items():
                found[name] = page.say(gr.Checkbox(False, label=text(key), elem_id=elem_id(name)), label=key)
        with gr.Row(elem_classes="pa-settings"):
            for part in PARTS:
                name, key = choice.limit(part), f"part.{part}"
                dom_id = elem_id(name)
                slider = gr.Slider(0.0, 1.0, value=0.0, step=0.01, label=text(key), min_width=230, elem_id=dom_id)
                found[name] = page.say(slider, label=key)
    for name, component in found.items():
        page.read(name, component)
    return found


def _about_filters(scene: Scene) -> dict[str, Any]:
    return {"value": tag("p", escape(scene.say("results.filter.info")), class_="pa-note")}


def _shown(scene: Scene) -> dict[str, Any]:
    """A chosen run stays chosen under its new name; the rest of the panel sees what the widget is about to hold."""
    scene.values[choice.RUN] = choice.label_now(scene)
    return {"choices": choice.labels(scene), "value": scene.values[choice.RUN]}


def _orders(scene: Scene) -> dict[str, Any]:
    """Orders in words; the chosen one stays when the language changes."""
    now = choice.order_named(scene.values.get(choice.SORT))
    words = {sort: scene.say(choice.order_key(sort)) for sort in SORTS}
    return {"choices": list(words.values()), "value": words[now]}


def _words(scene: Scene) -> dict[str, Any]:
    """Texts for our scripts."""
    tabs = [scene.say(f"tab.{name}") for name in PANELS]
    data = json.dumps(
        {
            "large": large_words(scene),
            "tabs": tabs,
            "drop": scene.say("photos.drop"),
            "away": scene.say("page.away"),
            "language": scene.language,
        },
        ensure_ascii=False,
    )
    return {"value": tag("div", "", data_pa_words=data)}
