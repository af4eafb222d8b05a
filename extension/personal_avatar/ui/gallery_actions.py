"""What buttons on pictures do: like, choose, turn pages, delete, download in a size, make more, send to another tab.

The buttons are HTML; our script presses hidden ones for them and hands over a value: a picture's name (`job:number`),
or JSON where more has to be said.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from html import escape
from itertools import count
from typing import Any

import gradio as gr

from personal_avatar.albums.entries import Entry
from personal_avatar.errors import BadInput, NotFound
from personal_avatar.pictures import infotext_of
from personal_avatar.ui import gallery_choice as choice
from personal_avatar.ui.jobs import TAKE
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text

MORE = 4


def build(page: Page, picked: Any, at: Any) -> Any:
    """Hidden parts, inside the current block; returns the one that tells what was done. `picked`, `at`: what is chosen,
    and the page of the gallery."""
    message = gr.HTML(elem_id=elem_id("results_message"))
    told = gr.HTML(elem_id=elem_id("results_told"))
    taken = gr.HTML(visible=False, elem_id=elem_id("taken"))
    value = page.keep(gr.Textbox("", visible=False, elem_id=elem_id("results_value")))
    stamps = count(1)

    def press(action: str, handler: Callable[..., list[Any]], inputs: list[Any], outputs: list[Any]) -> None:
        hidden = gr.Button(visible=False, elem_id=elem_id(f"press_{action}"))
        page.on(hidden.click, handler, [value, *inputs], outputs, message, script=TAKE)

    press("like", _like, [], [])
    press("pick", _pick, [picked], [picked])
    press("page", lambda scene, wanted: [wanted], [], [at])
    press("delete", _delete, [], [told])
    press("more", _more, [], [told])
    press("take", lambda scene, wanted: [_taken(scene, wanted, next(stamps))], [], [taken])
    if page.send_to is not None:
        _build_sending(page, press, stamps)
    return told


def entry_of(scene: Scene, key: str) -> Entry:
    """The picture that is called so. Raises `NotFound`."""
    job_id, _, number = key.partition(":")
    if not number.isdecimal():
        raise NotFound(f"There is no picture {key!r}.")
    return scene.studio.gallery.entry(job_id, int(number))


def _like(scene: Scene, wanted: str) -> list[Any]:
    key, _, liked = wanted.rpartition(":")
    entry = entry_of(scene, key)
    scene.studio.gallery.favourite(entry.job_id, entry.number, liked == "1")
    return []


def _pick(scene: Scene, wanted: str, before: str) -> list[Any]:
    """One name turns its choice round, several are added, none empties it."""
    names, chosen = choice.keys_in(wanted), choice.keys_in(before)
    if len(names) == 1 and names[0] in chosen:
        chosen.remove(names[0])
        names = []
    return [" ".join(dict.fromkeys([*chosen, *names])) if wanted.strip() else ""]


def _delete(scene: Scene, wanted: str) -> list[Any]:
    """`wanted`: {"id", "host"}: whether also what the host saved."""
    asked = json.loads(wanted)
    return [_deleted(scene, [entry_of(scene, asked["id"])], bool(asked.get("host")))]


def _deleted(scene: Scene, entries: list[Entry], host_files: bool) -> str:
    told = [scene.studio.gallery.delete(entry.job_id, entry.number, host_files) for entry in entries]
    left = [path for row in told for path in row["left"]]
    words = scene.say("results.left", files=", ".join(left)) if left else ""
    return box("good", scene.say("results.deleted", n=len(told)), words)


def _more(scene: Scene, key: str) -> list[Any]:
    entry = entry_of(scene, key)
    scene.studio.gallery.more_like(entry, MORE)
    return [box("info", scene.say("results.more", n=MORE))]


def _taken(scene: Scene, wanted: str, stamp: int) -> str:
    """The file itself, as our script saves it; nothing of it is kept here."""
    asked = json.loads(wanted)
    entry = entry_of(scene, asked["id"])
    taken = scene.studio.gallery.taken(entry, asked["size"], asked["format"], bool(asked.get("restored", True)))
    data = f"data:{taken.media_type};base64," + base64.b64encode(taken.data).decode("ascii")
    return tag("div", "", data_pa_stamp=stamp, data_name=taken.name, data_pa_taken=data)


# -- sending to another tab of the page around


def _build_sending(page: Page, press: Callable[..., None], stamps: Any) -> None:
    """The text and the picture lie in hidden parts; then our script presses the button that the host has bound."""
    assert page.send_to is not None
    infotext = page.keep(gr.Textbox("", visible=False, elem_id=elem_id("sent_text")))
    image = page.keep(gr.Image(type="pil", visible=False, elem_id=elem_id("sent_image")))
    ready = gr.HTML(visible=False, elem_id=elem_id("sent"))
    buttons = {name: gr.Button(visible=False, elem_id=elem_id(f"to_{name}")) for name in page.destinations}

    def hand_over(scene: Scene, wanted: str) -> list[Any]:
        from PIL import Image

        asked = json.loads(wanted)
        entry = entry_of(scene, asked["id"])
        path = entry.shown if asked.get("restored", True) else entry.portrait.path
        with Image.open(path) as picture:
            shown = picture.convert("RGB")
        words = infotext_of(path) or entry.portrait.prompt
        return [words, shown, tag("div", "", data_pa_stamp=next(stamps), data_pa_sent=asked["to"])]

    press("send", hand_over, [], [infotext, image, ready])
    page.send_to(buttons, infotext, image)


# -- deleting what is chosen


def build_deletion(page: Page, picked: Any, told: Any) -> None:
    """A folded part, inside the current block; `told`: where its end is told."""
    folded = gr.Accordion(text("picked.title"), open=False, visible=False, elem_id=elem_id("delete_box"))
    page.show(page.say(folded, label="picked.title"), lambda scene: {"visible": bool(choice.picked(scene))})
    with folded:
        page.show(gr.HTML(elem_id=elem_id("delete_info")), _about)
        sure = gr.Checkbox(False, label=text("picked.sure"), elem_id=elem_id("delete_sure"))
        host = gr.Checkbox(False, label=text("results.host"), visible=False, elem_id=elem_id("delete_host"))
        page.show(page.say(host, label="results.host"), lambda scene: {"visible": _elsewhere(scene)})
        button = gr.Button(text("large.delete_yes"), variant="stop", elem_id=elem_id("delete_picked"))
        message = gr.HTML(elem_id=elem_id("delete_message"))
    page.say(sure, label="picked.sure")
    page.say(button, value="large.delete_yes")

    def delete(scene: Scene, names: str, is_sure: bool, host_files: bool) -> list[Any]:
        scene.values[choice.PICKED] = names
        found = choice.picked(scene)
        if not found:
            raise Refusal(NotFound, "nochosen")
        if not is_sure:
            raise Refusal(BadInput, "notsure", hint="refusal.unsure.hint")
        return [_deleted(scene, found, host_files), "", False, False]

    page.on(button.click, delete, [picked, sure, host], [told, picked, sure, host], message)


def _about(scene: Scene) -> dict[str, Any]:
    return {"value": tag("p", escape(scene.say("picked.info")), class_="pa-note")}


def _elsewhere(scene: Scene) -> bool:
    return any(not entry.owned for entry in choice.picked(scene))
