"""Part of the panel "Train": a plan that finds no room, the one that would, and the buttons for this and for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from personal_avatar.domain import Method
from personal_avatar.errors import PlanTooLarge
from personal_avatar.ui.labels import labels
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.plan import PlanForm, Seen
from personal_avatar.ui.presses import Pressed, button, listen
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import has

USE, ANYWAY = "use_plan", "start_anyway"
TOLD = "error.PLAN_TOO_LARGE"
# Starts a training with the values of the page and tells which; `anyway`: also one that will not fit.
Start = Callable[..., str]


class Offers:
    """Built below the button that starts. `place` shows what was refused and is empty again when something starts.
    `job`: keeps what start tells."""

    def __init__(self, page: Page, form: PlanForm, job: Any) -> None:
        self._page, self._form, self._job = page, form, job
        self.place = gr.HTML(elem_id=elem_id("offer"))

    def connect(self, start: Start, inputs: list[Any], message: Any) -> None:
        """`start(scene, *values of inputs, anyway=True)` is what the second button does."""

        def use(scene: Scene, value: Pressed, seen: Seen) -> list[Any]:
            return ["", *self._form.holding(Method(value["method"]), value["plan"], seen)]

        def anyway(scene: Scene, value: Pressed, *raw: Any) -> list[Any]:
            return ["", start(scene, *raw, anyway=True)]

        seen = self._page.seen
        listen(self._page, USE, use, [self.place, seen, *self._form.components], message, [seen])
        listen(self._page, ANYWAY, anyway, [self.place, self._job], message, inputs)

    def tried(self, scene: Scene, start: Callable[[], str]) -> list[Any]:
        """Do it; what `place` and `job` hold then. Other failures than `PlanTooLarge` are raised."""
        try:
            return ["", start()]
        except PlanTooLarge as error:
            return [refused_html(error, scene), gr.update()]


def refused_html(error: PlanTooLarge, scene: Scene) -> str:
    """What is needed and what is free, in the language of the page; the plan that would fit, and two buttons."""
    found = error.details
    told = scene.say(f"{TOLD}.told", needed_gb=found["needed_gb"], free_gb=found["free_gb"])
    press = [_anyway(scene)]
    if found["plan"] is None:
        offer = scene.say(f"{TOLD}.nothing")
    else:
        changes = changes_in_words(found["changes"], scene)
        offer = scene.say(f"{TOLD}.offer", predicted_gb=found["predicted_gb"], changes=changes)
        press.insert(0, _use(found, scene))
    title = scene.say(f"{TOLD}.title")
    return box("bad", title, told, offer) + tag("div", *press, class_="pa-buttons")


def changes_in_words(changes: Mapping[str, Any], scene: Scene) -> str:
    """Each setting by its label, with the value it would get."""
    return ", ".join(f"{_label(name, scene)}: {_value(name, value, scene)}" for name, value in changes.items())


def _label(name: str, scene: Scene) -> str:
    key = "train.method" if name == "method" else labels().get(name, name)
    return scene.say(key) if has(key) else name


def _value(name: str, value: Any, scene: Scene) -> str:
    if name == "method":
        return scene.say(f"method.{value}")
    if isinstance(value, bool):
        return scene.say("word.on" if value else "word.off")
    key = f"{labels().get(name, name)}.{value}"
    return scene.say(key) if has(key) else str(value)


def _use(found: Mapping[str, Any], scene: Scene) -> str:
    words = scene.say(f"{TOLD}.apply")
    return button(USE, "pa-use-plan", words, words, "pa-once pa-main", method=found["method"], plan=found["plan"])


def _anyway(scene: Scene) -> str:
    words = scene.say(f"{TOLD}.anyway")
    return button(ANYWAY, "pa-start-anyway", words, words, "pa-once")
