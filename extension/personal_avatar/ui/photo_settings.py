"""Part of the panel "Photos": what is asked of the photos and how they are cut, folded away, kept with the draft."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import gradio as gr
from pydantic.fields import ModelField

from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.studio import photos_meant
from personal_avatar.ui import judging
from personal_avatar.ui.page import ONCE, Page, elem_id, settled
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form, defaults_of, worded

FACES = "faces"
UPSCALER = "upscaler"  # its choices are the host's
FOLDED = ("min_face_px", "min_sharpness", "caption_template")  # not in sight, though they are not marked as advanced
DEFAULTS = defaults_of(PhotoSettings)


class SettingsForm:
    """The widgets, built inside the current block; each change is remembered, and judged where it matters."""

    def __init__(self, page: Page) -> None:
        folded = gr.Accordion(text("photos.settings"), open=False, elem_id=elem_id("photo_settings"))
        with page.say(folded, label="photos.settings"):
            self._form = Form(page, map(PhotoSettings.__fields__.__getitem__, _in_sight_first()), "photo_set", FOLDED)
            self._form.fields.append(PhotoSettings.__fields__[UPSCALER])
            self._form.components.append(_upscaler(page))
        self.components = self._form.components
        for field, component in zip(self._form.fields[:-1], self.components[:-1], strict=True):
            if field.name == FACES:  # which follows the noun
                page.fill("photo_set_faces", component, partial(_shown, field), noted=True)
                continue
            choices = ("choices",) if worded(field, "en") else ONCE
            page.show(component, partial(_shown, field), watched=choices)

    def remember(self, page: Page, message: Any) -> None:
        """Wire what the user changes."""
        for field, component in zip(self._form.fields, self.components, strict=True):
            note, read = (_note_faces, [component]) if field.name == FACES else (self.note, self.components)
            page.on(settled(component), note, read, [], message)

    def note(self, scene: Scene, *raw: Any) -> list[Any]:
        """Keep what differs from the defaults. Raises `InvalidSettings`."""
        own = {name: value for name, value in scene.draft.settings.items() if name == FACES}
        others = {name: value for name, value in DEFAULTS.items() if name != FACES}
        judging.set_up(scene.desk, scene.key, own | self._form.values(raw, others))
        return []

    def reset(self) -> Sequence[Any]:
        """The defaults, in the order of the widgets."""
        return [DEFAULTS[field.name] for field in self._form.fields]


def _note_faces(scene: Scene, value: str) -> list[Any]:
    """Keep it where it differs from what the noun proposes: the page may show what another noun proposed, so that it is
    the user's own only when he chose it."""
    others = {name: other for name, other in scene.draft.settings.items() if name != FACES}
    proposed = photos_meant(scene.draft.class_noun, others).get(FACES, DEFAULTS[FACES])
    judging.set_up(scene.desk, scene.key, others if value == proposed else {**others, FACES: value})
    return []


def _in_sight_first() -> list[str]:
    """How pictures are cut matters more to most people than the limits of the check."""
    names = (name for name in DEFAULTS if name != UPSCALER)
    return sorted(names, key=lambda name: not PhotoSettings.__fields__[name].field_info.title.startswith("cut."))


def _upscaler(page: Page) -> gr.Dropdown:
    """Of those that the host has; out of sight where it has none."""

    def known(scene: Scene) -> dict[str, Any]:
        names = scene.studio.host.upscalers()
        value = scene.draft.settings.get(UPSCALER, "")
        return {"choices": ["", *names], "value": value if value in names else "", "visible": bool(names)}

    dropdown = gr.Dropdown(
        [""], value="", label=text("cut.upscaler"), info=text("cut.upscaler.info"), visible=False,
        elem_id=elem_id("photo_set_upscaler"),
    )  # fmt: skip
    page.say(dropdown, label="cut.upscaler", info="cut.upscaler.info")
    return page.show(dropdown, known, watched=("choices", "visible"))


def _shown(field: ModelField, scene: Scene) -> dict[str, Any]:
    value = scene.draft.asked.get(field.name, field.default)
    words = worded(field, scene.language)
    return {"value": value, "choices": words} if words else {"value": value}
