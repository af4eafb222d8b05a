"""Part of the panel "Results": pictures to take along as a zip, in a size and a format."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.albums.entries import Entry
from personal_avatar.albums.sizes import ORIGINAL, SIZES
from personal_avatar.errors import NotFound
from personal_avatar.pictures import FORMATS
from personal_avatar.storage import slug
from personal_avatar.ui import gallery_choice as choice
from personal_avatar.ui.markup import box, progress_bar, stored_error_box, tag
from personal_avatar.ui.packing import Packed, Packing
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import DEFAULT, text
from personal_avatar.wording import size

OWN = "own"
SOURCES: dict[str, Callable[[Scene], list[Entry]]] = {
    "chosen": choice.picked,
    "favourites": choice.favourites,
    "shown": choice.entries,
}


def build(page: Page, steering: dict[str, Any]) -> None:
    """A folded part, inside the current block. `steering`: the widgets that say what is shown, by name."""
    packing = Packing(page.studio)
    folded = gr.Accordion(text("results.take"), open=False, elem_id=elem_id("take_box"))
    with page.say(folded, label="results.take"):
        page.show(gr.HTML(elem_id=elem_id("take_info")), _info)
        what = _radio(page, "take_what", "results.what", [f"what.{name}" for name in SOURCES], "shown")
        size = _radio(page, "take_size", "results.size", [f"size.{name}" for name in SIZES], ORIGINAL)
        kind = _radio(page, "take_format", "results.format", [f"format.{name}" for name in (OWN, *FORMATS)], OWN)
        start = page.say(gr.Button(text("results.zip"), elem_id=elem_id("zip")), value="results.zip")
        message = gr.HTML(elem_id=elem_id("zip_message"))
        shelf = page.shelf("zip_file")
        page.show(shelf.component, lambda scene: {"value": _made(scene, packing.state, shelf)})

    def begin(scene: Scene, source: str, wanted: str, form: str, *values: Any) -> list[Any]:
        scene.values.update(zip(steering, values, strict=True))
        found = SOURCES[source](scene)
        if not found:
            raise Refusal(NotFound, "nochosen" if source == "chosen" else "nopictures")
        packing.start(found, _name(scene, source), wanted, "" if form == OWN else form, scene.language)
        return []

    page.on(start.click, begin, [what, size, kind, *steering.values()], [], message)


def _radio(page: Page, name: str, label: str, keys: list[str], value: str) -> Any:
    """A choice in words; the last part of a key is its value."""

    def worded(language: str) -> list[tuple[str, str]]:
        return [(text(key, language), key.split(".")[1]) for key in keys]

    radio = gr.Radio(worded(DEFAULT), value=value, label=text(label), elem_id=elem_id(name), elem_classes="pa-choice")
    page.say(radio, label=label)
    return page.show(radio, lambda scene: {"choices": worded(scene.language)}, watched=("choices",))


def _name(scene: Scene, source: str) -> str:
    """The file's name: whose pictures, or which."""
    run = choice.chosen_run(scene) if source == "shown" else None
    return f"{slug(run.job.title)}-{run.job.id[:8]}.zip" if run else f"portraits-{source}.zip"


def _info(scene: Scene) -> dict[str, Any]:
    return {"value": tag("p", escape(scene.say("results.take.info")), class_="pa-note")}


def _made(scene: Scene, state: Packed, shelf: Shelf) -> str:
    """How far the zip is, or the way to it; a copy of one that was dropped is removed."""
    if state.error:
        return stored_error_box(state.error, scene.language)
    if state.running:
        words = scene.say("results.packing", done=state.done, total=state.total)
        bar = progress_bar(state.done / max(1, state.total), words)
        return tag("div", tag("p", escape(words), class_="pa-sentence"), bar, data_pa_busy="1")
    if (made := state.ready) is None:
        return ""
    words = f"{scene.say('results.file')}: {made.name} ({size(made.stat().st_size / 1e6)})"
    link = tag("a", escape(words), href=shelf.url(made), download=made.name, class_="pa-button pa-main")
    return box("good", scene.say("results.packed", n=state.total)) + tag("p", link)
