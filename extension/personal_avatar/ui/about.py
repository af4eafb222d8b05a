"""Who is in the photos: name, noun and consent, kept with the draft and shown as they are there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr

from personal_avatar.domain import CLASS_NOUNS, means_animal
from personal_avatar.studio import STYLE_NOUN
from personal_avatar.ui import caption_book
from personal_avatar.ui.judging import judge_again
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text

FIELDS = ("name", "class_noun", "consent")  # of a draft


def class_noun(page: Page, name: str, more: tuple[str, ...] = ()) -> Any:
    """Who somebody is, for the prompt."""
    noun = gr.Dropdown(
        [*CLASS_NOUNS, *more], value=CLASS_NOUNS[0], allow_custom_value=True, label=text("photos.noun"), min_width=140,
        elem_id=elem_id(name),
    )
    return page.say(noun, label="photos.noun")


class About:
    """The widgets, built inside the current block; `components` are in the order of FIELDS."""

    def __init__(self, page: Page) -> None:
        with gr.Row():
            name = gr.Textbox(label=text("photos.name"), max_lines=1, min_width=140, elem_id=elem_id("name"))
            noun = class_noun(page, "noun", (STYLE_NOUN,))
        consent = gr.Checkbox(False, label=text("photos.consent"), elem_id=elem_id("consent"))
        page.say(name, label="photos.name")
        page.say(consent, label="photos.consent")
        page.fill("about_name", name, lambda scene: {"value": scene.draft.name})
        page.fill("about_noun", noun, lambda scene: {"value": scene.draft.class_noun})
        page.fill("about_consent", consent, lambda scene: {"value": scene.draft.consent}, noted=True)
        self.components = [name, noun, consent]
        self.inputs = [page.seen, *self.components]
        self._page, self._fields = page, dict(zip(FIELDS, self.components, strict=True))

    def noted(self, scene: Scene, values: Sequence[Any]) -> Sequence[Any]:
        """Remember what the user said about the person. `values` begin with those of `inputs`; the others come back."""
        (seen, *said), others = values[: len(self.inputs)], values[len(self.inputs) :]
        self._note_changed(scene, seen, dict(zip(FIELDS, said, strict=True)))
        return others

    def _note_changed(self, scene: Scene, seen: dict[str, Any], said: dict[str, Any]) -> None:
        """A field that holds what was proposed says nothing: by now the draft may be another person's."""
        changed = {
            field: value for field, value in said.items() if self._page.is_changed(self._fields[field], seen, value)
        }
        if changed:
            _note(scene, changed)

    def remember(self, message: Any) -> None:
        """Each field is remembered alone: what else the page holds at that moment may be older than what is on its
        way."""
        for field, component in self._fields.items():
            if hasattr(component, "blur"):
                self._page.on(component.blur, partial(self._left, field), [self._page.seen, component], [], message)
            if not isinstance(component, gr.Textbox):
                self._page.on(component.input, partial(_entered, field), [component], [], message)

    def _left(self, field: str, scene: Scene, seen: dict[str, Any], value: Any) -> list[Any]:
        self._note_changed(scene, seen, {field: value})
        return []


def _entered(field: str, scene: Scene, value: Any) -> list[Any]:
    _note(scene, {field: value})
    return []


def _note(scene: Scene, said: dict[str, Any]) -> None:
    """Captions follow a new noun; whether faces are needed at all depends on it, too."""
    desk, key = scene.desk, scene.key
    before = desk.draft(key)
    desk.note(key, **{field: _plain(field, value) for field, value in said.items()})
    now = desk.draft(key)
    if before.class_noun != now.class_noun:
        caption_book.rename(desk, key, caption_book.trigger_of(before))
    if (before.asked, means_animal(before.class_noun)) != (now.asked, means_animal(now.class_noun)):
        judge_again(desk, key)


def _plain(field: str, value: Any) -> Any:
    """A widget's value as the draft keeps it."""
    if field == "consent":
        return bool(value)
    return (value or (CLASS_NOUNS[0] if field == "class_noun" else "")).strip()
