"""Part of the panel "Train": the method, what it is for, the engine, and the settings of that method.

The settings of all methods are there, each once; in sight are those of the chosen method, filled with what a training
would have: as it suits the method, the loaded checkpoint, the goal and what the user set himself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache, partial
from typing import Any

import gradio as gr
from pydantic.fields import ModelField

from personal_avatar.domain import BaseModelFile, Engine, Goal, Method
from personal_avatar.errors import AvatarError
from personal_avatar.training.planning.plan import PLANS, proposed_for
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.plan_kept import allowed, forget_settings, keep
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form, defaults_of, plain_value, said

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
        self._page, self._form = page, Form(page, _fields(), "plan")
        for field, component in zip(self._form.fields, self._form.components, strict=True):
            page.fill(_key(field), component, partial(_proposed, field.name), keep=partial(_keep, field))
        page.opening(_pass_over)
        self._back = gr.Button(text("plan.back"), size="sm", visible=False, elem_id=elem_id("plan_back"))
        page.show(page.say(self._back, value="plan.back"), lambda scene: {"visible": bool(_own(scene))})
        self._names = [*choices, *map(_key, self._form.fields)]
        self.components = [*choices.values(), *self._form.components]

    def connect(self, message: Any) -> None:
        """Wire the button that takes back what the user set, but method and goal."""
        page, settings = self._page, self._form.components

        def proposed_again(scene: Scene, seen: Seen, *raw: Any) -> list[Any]:
            forget_settings(scene)
            held = zip(settings, raw, strict=True)
            return [{**seen, **{str(component._id): {"value": value} for component, value in held}}]

        page.on(self._back.click, proposed_again, [page.seen, *settings], [page.seen], message, script="untouched")

    def chosen(self, scene: Scene, raw: Sequence[Any] | None = None, seen: Seen = NOTHING) -> Chosen:
        """What the user chose, and of the settings of the method those that he changed himself: what a scene of a
        refresh holds, or `raw`, the values of `components`, where the page proposed last what `seen` tells."""
        chosen = self.for_all(scene, raw, seen)
        return replace(chosen, plan=_of(chosen.method, chosen.plan))

    def for_all(self, scene: Scene, raw: Sequence[Any] | None = None, seen: Seen = NOTHING) -> Chosen:
        """As `chosen`, with settings of all methods: each method takes what it has of them, and the rest as it suits
        it."""
        if raw is not None:
            scene.values.update(zip(self._names, raw, strict=True))
            # what the page shows of his settings is what he means
            scene.own = self._page.own(seen, scene.values) | {f"plan.{name}" for name in scene.draft.plan}
        return Chosen(_method(scene), Engine(scene.values["engine"]), {GOAL: _goal(scene).value, **_own(scene)})

    def holding(self, method: Method, plan: Mapping[str, Any], seen: Seen) -> list[Any]:
        """What `Page.seen` and `components` hold for `chosen` to give this method and plan, with the engine that is
        chosen. What is not in the plan will be proposed anew."""
        last, held = dict(seen), []
        for field, component in zip(self._form.fields, self._form.components, strict=True):
            if field.name in plan:
                last[str(component._id)] = {"value": None}  # nothing was proposed: it is the user's own, to be kept
            held.append(plan.get(field.name, last.get(str(component._id), {}).get("value", gr.update())))
        return [last, method.value, plan[GOAL], gr.update(), *held]


def _radio(
    page: Page, name: str, label: str, known: Iterable[Enum], kinds: Callable[[Scene], Iterable[Enum]]
) -> gr.Radio:
    """One choice of codes (`known`, of which a scene offers some), shown in words; in sight when there is a choice."""

    def worded(wanted: Iterable[Enum], language: str) -> list[tuple[str, str]]:
        return [(said(f"{name}.{kind.value}", language), kind.value) for kind in wanted]

    def follow(scene: Scene) -> dict[str, Any]:
        words = worded(kinds(scene), scene.language)
        kept = scene.draft.plan.get(name)
        value = kept if kept in [code for _, code in words] else first[0][1]
        return {"choices": words, "visible": len(words) > 1, "value": value}

    first = worded(known, "en")
    radio = gr.Radio(
        first, value=first[0][1], label=text(label), visible=len(first) > 1, elem_id=elem_id(name),
        elem_classes=f"pa-choice pa-{name}",
    )
    return page.fill(name, page.say(radio, label=label), follow, keep=partial(keep, name))


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


def _key(field: ModelField) -> str:
    """Under which the page keeps a setting."""
    return f"plan.{field.name}"


def _keep(field: ModelField, scene: Scene, value: Any) -> bool:
    return keep(field.name, scene, plain_value(field, value))


def _pass_over(scene: Scene) -> None:
    """Of what was kept, settings that do not go with the checkpoint that is loaded now, or with each other."""
    plan, method = scene.draft.plan, Method(scene.draft.plan.get("method", Method.LORA))
    goals = [goal.value for goal in _goals(scene)]
    goal = plan[GOAL] if plan.get(GOAL) in goals else goals[0]
    settings = {name: value for name, value in _of(method, plan).items() if name != GOAL}
    noun, engine = scene.draft.class_noun, Engine(plan.get("engine", Engine.DIFFUSERS))
    check = partial(scene.studio.trainings.differences, engine, method, class_noun=noun)
    stay = allowed(settings, lambda some: check({GOAL: goal, **some}))
    for name in settings.keys() - stay.keys():
        keep(name, scene, None)


def _own(scene: Scene) -> dict[str, Any]:
    """What the user set himself, now or before, of the settings of all methods. A field that he emptied says
    nothing."""
    held = {field.name: scene.values[_key(field)] for field in _fields() if _key(field) in scene.own}
    mine = {**scene.draft.plan, **held}
    return {
        field.name: plain_value(field, mine[field.name]) for field in _fields() if mine.get(field.name) is not None
    }


def _of(method: Method, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that it has."""
    return {name: value for name, value in plan.items() if name in PLANS[method].__fields__}


def _suiting(name: str, scene: Scene, method: Method) -> Any:
    """The value of a setting that a training by this method would have, were it not for the user's own."""
    others = {other: value for other, value in _own(scene).items() if other != name}
    chosen = {GOAL: _goal(scene).value, **_of(method, others)}
    base = scene.checkpoint
    if isinstance(base, AvatarError):
        return defaults_of(PLANS[method])[name]
    return _planned(base, method, tuple(chosen.items()))[name]


@lru_cache(maxsize=32)
def _planned(base: BaseModelFile, method: Method, chosen: tuple[tuple[str, Any], ...]) -> Mapping[str, Any]:
    return proposed_for(base, method, dict(chosen)).dict()


def _proposed(name: str, scene: Scene) -> dict[str, Any]:
    """A setting as the chosen method proposes it; one that it lacks stays as a method proposes that has it."""
    method, kept = _method(scene), scene.draft.plan
    visible = name in PLANS[method].__fields__
    owner = method if visible else next(other for other in PLANS if name in PLANS[other].__fields__)
    value = kept[name] if name in kept else _suiting(name, scene, owner)
    return {"value": value, "visible": visible}
