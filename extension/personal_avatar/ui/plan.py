"""Part of the panel "Train": the method, what it is for, the engine, and the settings of that method.

The settings of all methods are there, each once; in sight are those of the chosen method, filled with what suits it,
the loaded checkpoint and the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

import gradio as gr
from pydantic.fields import ModelField

from personal_avatar.domain import Engine, Goal, Method
from personal_avatar.errors import AvatarError
from personal_avatar.training.plan import PLANS
from personal_avatar.training.presets import preset_for
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form, defaults_of, said

GOAL = "goal"
Seen = Mapping[str, Mapping[str, Any]]  # what `Page.seen` holds of what was proposed
NOTHING: Seen = {}


@dataclass(frozen=True)
class Chosen:
    """How to train: `plan` holds the goal and what differs from the preset."""

    method: Method
    engine: Engine
    plan: dict[str, Any]


class PlanForm:
    """The choices and the settings, built inside the current block."""

    def __init__(self, page: Page) -> None:
        choices = {
            "method": _radio(page, "method", "train.method", Method, lambda scene: Method),
            GOAL: _radio(page, GOAL, "plan.goal", Goal, _goals),
            "engine": _radio(
                page, "engine", "train.engine", page.studio.trainings.engines(),
                lambda scene: scene.studio.trainings.engines(),
            ),
        }
        self._form = Form(page, _fields(), "plan")
        self._settings = [f"plan.{field.name}" for field in self._form.fields]
        for name, field, component in zip(self._settings, self._form.fields, self._form.components, strict=True):
            page.fill(name, component, partial(_proposed, field.name))
        self._names = [*choices, *self._settings]
        self.components = [*choices.values(), *self._form.components]

    def chosen(self, scene: Scene, raw: Sequence[Any] | None = None) -> Chosen:
        """What the scene read from the widgets, or their values in the order of `components`."""
        if raw is not None:
            scene.values.update(zip(self._names, raw, strict=True))
        values = self._form.values([scene.values[name] for name in self._settings], _defaults(scene, _method(scene)))
        return Chosen(_method(scene), Engine(scene.values["engine"]), {GOAL: _goal(scene).value, **values})

    def holding(self, scene: Scene, method: Method, plan: Mapping[str, Any]) -> list[Any]:
        """Values of `components` that make `chosen` give this method and plan, with the engine that is chosen."""
        goal = Goal(plan[GOAL])
        scene.values.update({"method": method.value, GOAL: goal.value})
        wanted = {**_defaults(scene, method), **plan}
        held = [wanted.get(field.name, gr.update()) for field in self._form.fields]
        return [method.value, goal.value, gr.update(), *held]

    def for_all(self, scene: Scene, raw: Sequence[Any] | None = None, seen: Seen = NOTHING) -> Chosen:
        """Goal and engine, and of the settings of all methods those that the user changed himself: each method takes
        what it has of them, and the rest as it suits it. `seen`: what the page proposed last."""
        chosen = self.chosen(scene, raw)
        proposed = {
            field.name: (seen.get(str(component._id)) or _proposed(field.name, scene))["value"]
            for field, component in zip(self._form.fields, self._form.components, strict=True)
        }
        changed = self._form.values([scene.values[name] for name in self._settings], proposed)
        return replace(chosen, plan={GOAL: chosen.plan[GOAL], **changed})


def _radio(
    page: Page, name: str, label: str, known: Iterable[Enum], kinds: Callable[[Scene], Iterable[Enum]]
) -> gr.Radio:
    """One choice of codes (`known`, of which a scene offers some), shown in words; in sight when there is a choice."""

    def worded(wanted: Iterable[Enum], language: str) -> list[tuple[str, str]]:
        return [(said(f"{name}.{kind.value}", language), kind.value) for kind in wanted]

    def follow(scene: Scene) -> dict[str, Any]:
        words = worded(kinds(scene), scene.language)
        return {"choices": words, "visible": len(words) > 1}

    first = worded(known, "en")
    radio = gr.Radio(
        first, value=first[0][1], label=text(label), visible=len(first) > 1, elem_id=elem_id(name),
        elem_classes=f"pa-choice pa-{name}",
    )
    page.show(page.say(page.read(name, radio), label=label), follow)
    return radio


def _fields() -> Iterable[ModelField]:
    """The settings of all methods, each once; the goal has a widget of its own."""
    fields = {name: field for kind in PLANS.values() for name, field in kind.__fields__.items() if name != GOAL}
    return fields.values()


def _method(scene: Scene) -> Method:
    return Method(scene.values["method"])


def _goals(scene: Scene) -> Iterable[Goal]:
    """Pictures of a style were checked as such, photos of somebody by their faces."""
    return (Goal.STYLE,) if scene.draft.shows_a_style else tuple(goal for goal in Goal if goal is not Goal.STYLE)


def _goal(scene: Scene) -> Goal:
    goal, goals = Goal(scene.values[GOAL]), tuple(_goals(scene))
    return goal if goal in goals else goals[0]


def _defaults(scene: Scene, method: Method) -> dict[str, Any]:
    """The settings of a method as they suit the loaded checkpoint and the goal."""
    base = scene.checkpoint
    preset = {} if isinstance(base, AvatarError) else preset_for(base, method, _goal(scene))
    return {name: value for name, value in {**defaults_of(PLANS[method]), **preset}.items() if name != GOAL}


def _proposed(name: str, scene: Scene) -> dict[str, Any]:
    """A setting as the chosen method proposes it; one that it lacks stays as a method proposes that has it."""
    method = _method(scene)
    visible = name in PLANS[method].__fields__
    owner = method if visible else next(other for other in PLANS if name in PLANS[other].__fields__)
    return {"value": _defaults(scene, owner)[name], "visible": visible}
