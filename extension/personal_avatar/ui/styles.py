"""Styles to tick, by category, in the language of the page; what is ticked stays ticked when that changes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import gradio as gr

from personal_avatar.domain import Style
from personal_avatar.errors import AvatarError
from personal_avatar.styles.library import PREVIEWS, categories, shipped
from personal_avatar.training.planning.presets import is_tiny
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import LANGUAGES, has, text

OPEN = ("professional", "photo")
TINY = "avatar-tiny"


class StylePicker:
    """Groups of styles, built inside the current block. `name` tells the pickers of a page apart."""

    def __init__(self, page: Page, name: str, opened: Iterable[str] = OPEN) -> None:
        self._page, self._name, self._opened = page, name, tuple(opened)
        self.components = [self._group(category, styles) for category, styles in categories(shipped()).items()]
        self.components.append(self._own())
        self._shelf = page.shelf(f"{name}_previews", visible=False)
        page.show(self._shelf.component, self._previews)

    def chosen(self, scene: Scene, raw: Iterable[list[str] | None]) -> tuple[str, ...]:
        """Ids of the ticked styles, from the widgets' values in the order of `components`."""
        labels = [label for ticked in raw for label in ticked or []]
        own = [style.id for style in scene.studio.host.styles() if style.name in labels]
        return (*_ids(labels, shipped()), *own)

    def _group(self, category: str, styles: tuple[Style, ...]) -> Any:
        key = f"category.{category}" if has(f"category.{category}") else "category.other"
        folded = gr.Accordion(text(key), open=category in self._opened, elem_id=self._dom_id(category, "_box"))
        self._page.show(folded, lambda scene: {"open": category in self._suiting(scene)})
        with self._page.say(folded, label=key):
            group = self._ticks(category, key, [style_name(style, "en") for style in styles])

        def follow(scene: Scene) -> dict[str, Any]:
            ticked = _ids(scene.values.get(f"{self._name}_{category}") or [], styles)
            names = {style.id: style_name(style, scene.language) for style in styles}
            return {"choices": list(names.values()), "value": [names[style_id] for style_id in ticked]}

        return self._page.show(self._page.read(f"{self._name}_{category}", group), follow, watched=("choices",))

    def _own(self) -> Any:
        folded = gr.Accordion(text("category.own"), open=False, visible=False, elem_id=self._dom_id("own", "_box"))
        with self._page.say(folded, label="category.own"):
            group = self._ticks("own", "category.own", [])
        self._page.show(folded, lambda scene: {"visible": bool(scene.studio.host.styles())})

        def follow(scene: Scene) -> dict[str, Any]:
            names = [style.name for style in scene.studio.host.styles()]
            ticked = scene.values.get(f"{self._name}_own") or []
            return {"choices": names, "value": [name for name in ticked if name in names]}

        return self._page.show(self._page.read(f"{self._name}_own", group), follow, watched=("choices",))

    def _ticks(self, category: str, key: str, names: list[str]) -> Any:
        dom_id = self._dom_id(category)
        group = gr.CheckboxGroup(names, label=text(key), show_label=False, elem_id=dom_id, elem_classes="pa-styles")
        return self._page.say(group, label=key)

    def _previews(self, scene: Scene) -> dict[str, Any]:
        """Address of the little picture of each style by its name on the page, for our script to put beside it."""
        files = {style_name(style, scene.language): PREVIEWS / f"{style.id}.webp" for style in shipped()}
        urls = {name: self._shelf.url(file) for name, file in files.items() if file.is_file()}
        return {"value": tag("div", data_pa_previews=json.dumps(urls, ensure_ascii=False))}

    def _dom_id(self, category: str, part: str = "") -> str:
        return elem_id(f"{self._name}_{category}{part}")

    def _suiting(self, scene: Scene) -> tuple[str, ...]:
        """Categories that suit the loaded checkpoint."""
        base = scene.checkpoint
        return (TINY,) if not isinstance(base, AvatarError) and is_tiny(base) else self._opened


def style_name(style: Style, language: str) -> str:
    """A shipped style's name in a language; a style that the table does not know as it calls itself."""
    key = f"style.{style.id}"
    return text(key, language) if has(key) else style.name


def _ids(labels: list[str], styles: tuple[Style, ...]) -> list[str]:
    """Ids of styles by their names in any language."""
    by_name = {style_name(style, language): style.id for language in LANGUAGES for style in styles}
    return [by_name[label] for label in labels if label in by_name]
