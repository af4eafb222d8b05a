"""Part of the panel "Photos": the captions of the training pictures, written by a tagger or by hand, and mended."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.captions.editing import replaced, terms, with_caption, with_tag, without_tag
from personal_avatar.captions.lint import mended
from personal_avatar.errors import AvatarError, BadInput
from personal_avatar.ui import caption_book as book
from personal_avatar.ui import caption_taggers
from personal_avatar.ui.caption_list import PRESS, editors, faults_html, having, words_html
from personal_avatar.ui.markup import error_box, tag
from personal_avatar.ui.page import QUIET, Page, elem_id
from personal_avatar.ui.photo_pictures import pictures_of
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.presses import Pressed, listen
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import code_of, text

WORD = "caption_word"
TYPED = "typed"  # what our script presses when a field is left
Shown = Callable[[Scene], bool]


def build(page: Page, shown: Shown) -> None:
    """Built inside the current block; `shown`: whether the part is in sight."""
    page.show(gr.HTML(elem_id=elem_id("caption_optional")), _when(shown, _optional))
    caption_taggers.build(page, shown)
    message = gr.HTML(elem_id=elem_id("caption_message"))
    _steps(page, message)
    _search(page, message)
    word = page.read(WORD, gr.Textbox("", visible=False, elem_id=elem_id(WORD)))
    parts = (("caption_faults", _faults), ("caption_words", _words))
    for name, provider in parts:
        page.show(gr.HTML(elem_id=elem_id(name)), _when(shown, provider))
    shelf = page.shelf("caption_list")

    def listed(scene: Scene) -> dict[str, Any]:
        return {"value": _list(scene, shelf) if shown(scene) else ""}

    page.show(shelf.component, listed)
    for name in (PRESS, TYPED):  # one each: gradio drops a press while the last one of the same button is on its way
        listen(page, name, _pressed, [word], message)


def _when(shown: Shown, made: Callable[[Scene], str]) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"value": made(scene) if shown(scene) else ""}


# -- what is shown


def _optional(scene: Scene) -> str:
    said = scene.say("caption.optional", text=book.template_of(scene.draft, scene.say("plan.trigger_word")))
    return tag("p", escape(said), class_="pa-note")


def _faults(scene: Scene) -> str:
    captions = book.captions_of(scene.draft)
    return faults_html(scene, book.faults(scene.draft, captions), captions)


def _words(scene: Scene) -> str:
    return words_html(scene, book.captions_of(scene.draft), scene.values.get(WORD) or "")


def _list(scene: Scene, shelf: Shelf) -> str:
    captions = book.captions_of(scene.draft)
    wanted = having(captions, scene.values.get(WORD) or "")
    photos = [photo for photo in book.photos_of(scene.draft) if photo.name in wanted]
    return editors(scene, photos, captions, shelf, pictures_of(scene.desk.folder(scene.key)))


# -- what the buttons inside do


def _pressed(scene: Scene, value: Pressed) -> list[Any]:
    do, word = value.get("do"), str(value.get("word", ""))
    if do == "word":
        return [word]
    with scene.desk.lock:  # a field that is left and a button that is pressed come at the same time
        book.change(scene.desk, scene.key, _changed(scene, value, word))
    return ["" if do == "remove" else gr.update()]


def _changed(scene: Scene, value: Pressed, word: str) -> book.Captions:
    """The captions after what a button asks for."""
    do, captions = value.get("do"), book.captions_of(scene.draft)
    name = str(value.get("photo", ""))
    if do == "write":
        return _written(captions, value.get("texts"))
    if do == "remove":
        return _without(captions, word)
    if do in ("mend", "mend_all"):
        found = book.faults(scene.draft, captions)
        one = (name, value.get("code"))
        return mended(captions, [fault for fault in found if do == "mend_all" or (fault.file, fault.code) == one])
    return captions


def _written(captions: book.Captions, texts: Any) -> book.Captions:
    """The captions of some photos written anew; of one that is gone meanwhile nothing."""
    if not isinstance(texts, dict):
        raise Refusal(BadInput, "oldpage")
    for name in texts.keys() & captions.keys():
        captions = with_caption(captions, name, str(texts[name]))
    return captions


def _without(captions: book.Captions, word: str) -> book.Captions:
    """A tag goes with its comma; a word that stands in sentences is cut out of them."""
    tagless = without_tag(captions, word)
    left = any(word in terms(caption) for caption in tagless.values())
    return replaced(tagless, word, "") if left else tagless


# -- steps back and forth


def _steps(page: Page, message: Any) -> None:
    steps = {"undo": (book.undo, "can_undo"), "redo": (book.redo, "can_redo")}
    with gr.Row():
        for name, (step, possible) in steps.items():
            button = gr.Button(text(f"caption.{name}"), size="sm", elem_id=elem_id(f"caption_{name}"), min_width=90)
            page.say(button, value=f"caption.{name}")
            page.show(button, _possible(possible))
            page.on(button.click, _stepping(step), [], [], message)


def _possible(name: str) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: {"interactive": bool(getattr(book.history(scene.desk, scene.key), name))}


def _stepping(step: Callable[[Any, str], None]) -> Callable[[Scene], list[Any]]:
    def handler(scene: Scene) -> list[Any]:
        step(scene.desk, scene.key)
        return []

    return handler


# -- search and replace, a tag for all


def _search(page: Page, message: Any) -> None:
    folded = gr.Accordion(text("caption.everywhere"), open=False, elem_id=elem_id("caption_everywhere"))
    with page.say(folded, label="caption.everywhere"):
        with gr.Row():
            search, replacement = (_field(page, name) for name in ("search", "replacement"))
        regex = gr.Checkbox(False, label=text("caption.regex"), elem_id=elem_id("caption_regex"))
        page.say(regex, label="caption.regex")
        preview = gr.HTML(elem_id=elem_id("caption_preview"))
        with gr.Row():
            replace = page.say(
                gr.Button(text("caption.replace"), elem_id=elem_id("caption_replace")), value="caption.replace"
            )
            add = page.say(gr.Button(text("caption.addtag"), elem_id=elem_id("caption_add")), value="caption.addtag")
    wanted = [search, replacement, regex]
    told = [page.language, page.key, *wanted]
    for field in (search, replacement):  # an expression is tried when it is complete, not at each of its letters
        field.input(lambda *values: "" if values[-1] else _preview(page, *values), told, preview, **QUIET)
        field.blur(lambda *values: _preview(page, *values), told, preview, **QUIET)
    regex.input(lambda *values: _preview(page, *values), told, preview, **QUIET)
    page.on(replace.click, _replace, wanted, [preview], message)
    page.on(add.click, _add, [replacement], [preview], message)


def _field(page: Page, name: str) -> Any:
    field = gr.Textbox(
        label=text(f"caption.{name}"), max_lines=1, min_width=140, elem_id=elem_id(f"caption_{name}")
    )
    return page.say(field, label=f"caption.{name}")


def _preview(page: Page, language: str, key: str, search: str, replacement: str, regex: bool) -> str:
    """How many captions would change, and the first of them."""
    if not search.strip():
        return ""
    scene = page.scene(language, key, {})
    captions = book.captions_of(scene.draft)
    try:
        made = replaced(captions, search, replacement, regex)
    except AvatarError as error:
        return error_box(error, code_of(language))
    changed = [name for name, caption in captions.items() if caption != made[name]]
    first = tag("p", escape(made[changed[0]]), lang="en") if changed else ""
    count = scene.say("caption.preview", n=len(changed), total=len(captions))
    return tag("div", tag("strong", escape(count)), first, role="status", class_="pa-note")


def _replace(scene: Scene, search: str, replacement: str, regex: bool) -> list[Any]:
    with scene.desk.lock:
        captions = book.captions_of(scene.draft)
        book.change(scene.desk, scene.key, replaced(captions, search, replacement, regex))
    return [""]


def _add(scene: Scene, words: str) -> list[Any]:
    if words.strip():
        with scene.desk.lock:
            book.change(scene.desk, scene.key, with_tag(book.captions_of(scene.draft), words))
    return [""]
