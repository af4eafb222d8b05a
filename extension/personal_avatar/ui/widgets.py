"""Settings as widgets: each declaration in a `Settings` class becomes a slider, number, checkbox or dropdown."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

import gradio as gr
from pydantic.fields import ModelField

from personal_avatar.params import Settings
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id, same
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import DEFAULT, has, text

SLIDER_STEPS = 1000
ROW_PX = 560  # choices in words have a row of their own


class Form:
    """Widgets for settings, the usual ones in sight, `advanced` ones and those named in `folded` folded away; built
    inside the current block."""

    def __init__(self, page: Page, fields: Iterable[ModelField], name: str, folded: Collection[str] = ()) -> None:
        self._page, self._name = page, name
        self.components: list[Any] = []
        self.fields: list[ModelField] = []
        given = list(fields)
        hidden = [field for field in given if field.field_info.extra["advanced"] or field.name in folded]
        with gr.Row(elem_classes="pa-settings"):
            self._add([field for field in given if field not in hidden])
        if hidden:
            self._add_folded(hidden)

    def _add_folded(self, fields: list[ModelField]) -> None:
        folded = gr.Accordion(text("settings.advanced"), open=False, elem_id=elem_id(f"{self._name}_advanced"))
        with self._page.say(folded, label="settings.advanced"):
            for group in dict.fromkeys(_group(field) for field in fields):
                if group:
                    head = gr.HTML(elem_id=elem_id(f"{self._name}_{group.rpartition('.')[2]}"))
                    self._page.show(head, partial(_heading, group))
                with gr.Row(elem_classes="pa-settings"):
                    self._add([field for field in fields if _group(field) == group])

    def _add(self, fields: list[ModelField]) -> None:
        for field in fields:
            words = label_keys(field.field_info.title)
            texts = {prop: text(key) for prop, key in words.items()}
            component = widget(
                field, elem_id(f"{self._name}_{field.name}"), {"label": field.field_info.title, **texts}
            )
            self.components.append(self._page.say(component, **words))
            self.fields.append(field)
            if isinstance(component, gr.Radio):
                self._page.show(component, partial(_choices_shown, field), watched=("choices",))

    def values(self, raw: Sequence[Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """What differs from `defaults`, by name, from the widgets' values in the order of `components`.

        Settings that `defaults` does not name are left out.
        """
        made = {}
        for field, value in zip(self.fields, raw, strict=True):
            if field.name in defaults and value is not None:
                plain = plain_value(field, value)
                if not same(plain, defaults[field.name]):
                    made[field.name] = plain
        return made


def _group(field: ModelField) -> str:
    return str(field.field_info.extra["group"])


def _heading(group: str, scene: Scene) -> dict[str, Any]:
    return {"value": tag("h3", escape(scene.say(group)), class_="pa-group")}


def defaults_of(kind: type[Settings]) -> dict[str, Any]:
    """The declared defaults by name."""
    return {name: field.default for name, field in kind.__fields__.items()}


def label_keys(title: str) -> dict[str, str]:
    """Keys of label and help; a title that the table does not know stands for itself."""
    return {prop: key for prop, key in (("label", title), ("info", f"{title}.info")) if has(key)}


def said(key: str, language: str) -> str:
    """The name of a choice, and the sentence about it where there is one."""
    if not has(f"{key}.info"):
        return text(key, language)
    return text("choice.said", language, name=text(key, language), info=text(f"{key}.info", language))


def worded(field: ModelField, language: str) -> list[tuple[str, str]]:
    """(words, choice) of a setting whose choices the table knows; empty for one whose choices stand for themselves."""
    keys = {choice: f"{field.field_info.title}.{choice}" for choice in field.field_info.extra["choices"] or ()}
    if not all(map(has, keys.values())):
        return []
    return [(said(key, language), choice) for choice, key in keys.items()]


def _choices_shown(field: ModelField, scene: Scene) -> dict[str, Any]:
    return {"choices": worded(field, scene.language)}


def widget(field: ModelField, dom_id: str, props: dict[str, str], language: str = DEFAULT) -> Any:
    """A setting's widget; `props`: label and info, `language`: of its choices."""
    info, common = field.field_info, {"value": field.default, "elem_id": dom_id, **props}
    if isinstance(field.default, bool):
        return gr.Checkbox(min_width=220, **common)
    if words := worded(field, language):
        return gr.Radio(words, min_width=ROW_PX, elem_classes="pa-choice", **common)
    if info.extra["choices"]:
        return gr.Dropdown(list(info.extra["choices"]), min_width=200, **common)
    if isinstance(field.default, str):
        return gr.Textbox(max_lines=1, **common)
    if _fits_slider(field):
        return gr.Slider(info.ge, info.le, step=info.extra["step"], min_width=230, **common)
    return gr.Number(precision=0 if isinstance(field.default, int) else None, min_width=200, **common)


def _fits_slider(field: ModelField) -> bool:
    info = field.field_info
    if info.ge is None or info.le is None or not info.extra["step"]:
        return False
    return (info.le - info.ge) / info.extra["step"] <= SLIDER_STEPS


def plain_value(field: ModelField, value: Any) -> Any:
    """A widget's value as the field's own type."""
    if isinstance(field.default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
