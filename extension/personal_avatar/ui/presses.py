"""Buttons inside HTML: pressing one hands a value, which is plain JSON data, to a handler of the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.errors import BadInput
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene

TAKE = "take"
Pressed = dict[str, Any]


def listen(
    page: Page, name: str, handler: Callable[..., list[Any]], outputs: Sequence[Any], message: Any,
    inputs: Sequence[Any] = (),
) -> None:
    """Let `handler(scene, value, *inputs)` answer every button that was made with `name`."""
    value = page.keep(gr.Textbox("", visible=False, elem_id=elem_id(f"value_{name}")))
    hidden = gr.Button(visible=False, elem_id=elem_id(f"press_{name}"))

    def pressed(scene: Scene, raw: str, *more: Any) -> list[Any]:
        return handler(scene, _read(raw), *more)

    page.on(hidden.click, pressed, [value, *inputs], list(outputs), message, script=TAKE)


def attributes_of(name: str, **value: Any) -> dict[str, str]:
    """What makes an element hand `value` to the handler called `name` when it is pressed."""
    return {"data_pa_press": elem_id(f"press_{name}"), "data_pa_value": json.dumps(value, ensure_ascii=False)}


def button(name: str, dom_id: str, words: str, label: str, kind: str = "", **value: Any) -> str:
    """A button in words; `label` is what a screen reader says, `dom_id` keeps the focus when it is made again."""
    return tag(
        "button", escape(words), type="button", id=dom_id, aria_label=label if label != words else None,
        class_=f"pa-button {kind}".strip(), **attributes_of(name, **value),
    )


def _read(raw: str) -> Pressed:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(BadInput, "oldpage")
    return value
