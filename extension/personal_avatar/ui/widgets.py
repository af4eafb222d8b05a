"""Settings as widgets: each declaration in a `Settings` class becomes a slider, number, checkbox or dropdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr
from pydantic.fields import ModelField

from personal_avatar.params import Settings
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import has, text

SLIDER_STEPS = 1000


Defaults = Callable[[Scene], dict[str, Any]]


class Form:
    """Widgets for a settings class, the usual ones in sight, `advanced` ones folded; built inside the current block.

    `defaults`: values that differ from the declared ones as things stand (those for the loaded checkpoint). With it the
    page refreshes when a setting changes, and what it shows may depend on them by `chosen`.
    """

    def __init__(self, page: Page, kind: type[Settings], name: str, defaults: Defaults | None = None) -> None:
        self._page, self._name, self._defaults = page, name, defaults
        self.components: list[Any] = []
        self._fields: list[ModelField] = []
        fields = list(kind.__fields__.values())
        with gr.Row(elem_classes="pa-settings"):
            self._add([field for field in fields if not field.field_info.extra["advanced"]])
        folded = gr.Accordion(text("settings.advanced"), open=False, elem_id=elem_id(f"{name}_advanced"))
        with page.say(folded, label="settings.advanced"), gr.Row(elem_classes="pa-settings"):
            self._add([field for field in fields if field.field_info.extra["advanced"]])

    def _add(self, fields: list[ModelField]) -> None:
        for field in fields:
            words = _words(field.field_info.title)
            texts = {prop: text(key) for prop, key in words.items()}
            component = _widget(
                field, elem_id(f"{self._name}_{field.name}"), {"label": field.field_info.title, **texts}
            )
            self.components.append(self._page.say(component, **words))
            self._fields.append(field)
            if self._defaults is not None:
                self._page.read(f"{self._name}.{field.name}", component)
                self._page.show(component, partial(self._shown_default, field))

    def _shown_default(self, field: ModelField, scene: Scene) -> dict[str, Any]:
        return {"value": self._default(field, scene)}

    def _default(self, field: ModelField, scene: Scene) -> Any:
        return self._defaults(scene).get(field.name, field.default) if self._defaults else field.default

    def chosen(self, scene: Scene) -> dict[str, Any]:
        """What differs from the defaults, by name, in what the scene read from the widgets."""
        return self.values(scene, [scene.values.get(f"{self._name}.{field.name}") for field in self._fields])

    def values(self, scene: Scene, raw: Sequence[Any]) -> dict[str, Any]:
        """What differs from the defaults, by name, from the widgets' values in the order of `components`."""
        made = {}
        for field, value in zip(self._fields, raw, strict=True):
            default = self._default(field, scene)
            plain = default if value is None else _plain(field, value)
            if plain != default:
                made[field.name] = plain
        return made


def _words(title: str) -> dict[str, str]:
    """Keys of label and help; a title that the table does not know stands for itself."""
    return {prop: key for prop, key in (("label", title), ("info", f"{title}.info")) if has(key)}


def _widget(field: ModelField, dom_id: str, props: dict[str, str]) -> Any:
    info, common = field.field_info, {"value": field.default, "elem_id": dom_id, **props}
    if isinstance(field.default, bool):
        return gr.Checkbox(min_width=220, **common)
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


def _plain(field: ModelField, value: Any) -> Any:
    """A widget's value as the field's own type."""
    if isinstance(field.default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value
