"""Part of the panel "One photo": a second person in the same picture, and who of the two is where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import CLASS_NOUNS
from personal_avatar.identities import IdentitySettings, RegionSettings
from personal_avatar.params import validated
from personal_avatar.studio.oneshot import Box, Neighbour
from personal_avatar.ui.about import class_noun
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.photos import upload
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form, defaults_of

LAYOUT = "one_layout"
BOXES = "boxes"
HALVES = {"first": {"right": 0.5}, "second": {"left": 0.5}}


@dataclass(frozen=True)
class Beside:
    """The others in the picture, and the place of the first person, None where faces decide or there is nobody else."""

    neighbours: tuple[Neighbour, ...] = ()
    layout: str = BOXES
    box: Box | None = None


class SecondPerson:
    """A folded part, built inside the current block. `components` hold the photos, the layout and the two boxes."""

    def __init__(self, page: Page) -> None:
        folded = gr.Accordion(text("one.people"), open=False, elem_id=elem_id("one_people"))
        with page.say(folded, label="one.people"):
            files = upload(page, "one_second", "one.second", height=110)
            noun = class_noun(page, "one_second_noun")
            self._layout = Form(page, [IdentitySettings.__fields__["layout"]], "one")
            page.read(LAYOUT, self._layout.components[0])
            self._boxes = [self._box(page, who) for who in HALVES]
        places = [component for form in self._boxes for component in form.components]
        self.components = [files, noun, *self._layout.components, *places]

    def _box(self, page: Page, who: str) -> Form:
        """The four edges of one person's box; the picture is halved to begin with."""
        folded = gr.Accordion(text(f"one.{who}.region"), open=False, elem_id=elem_id(f"one_{who}_box"))
        page.show(
            page.say(folded, label=f"one.{who}.region"),
            lambda scene: {"visible": (scene.values.get(LAYOUT) or BOXES) == BOXES},
        )
        with folded:
            form = Form(page, RegionSettings.__fields__.values(), f"one_{who}")
        for field, edge in zip(form.fields, form.components, strict=True):
            edge.value = HALVES[who].get(field.name, field.default)
        return form

    def chosen(self, raw: Sequence[Any]) -> Beside:
        """From the widgets' values in the order of `components`; raises `InvalidSettings`."""
        files, noun, layout, *edges = raw
        photos = tuple(Path(file.name) for file in files or [])
        if not photos:
            return Beside()
        first, second = self._chosen_boxes(edges) if layout == BOXES else (None, None)
        return Beside((Neighbour(photos, noun or CLASS_NOUNS[0], second),), str(layout), first)

    def _chosen_boxes(self, edges: Sequence[Any]) -> list[Box]:
        half = len(edges) // 2
        values = zip(self._boxes, (edges[:half], edges[half:]), strict=True)
        return [_edges(form.values(part, defaults_of(RegionSettings))) for form, part in values]


def _edges(given: dict[str, Any]) -> Box:
    region = validated(RegionSettings, given)
    return region.left, region.top, region.right, region.bottom
