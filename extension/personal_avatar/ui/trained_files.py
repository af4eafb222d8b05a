"""Part of the panel "Create": which of a person's trained files is used and why, and the choice of another one."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from personal_avatar.domain import Checkpoint
from personal_avatar.domain.merit import best_first, best_of, scores_of
from personal_avatar.errors import AvatarError
from personal_avatar.studio.trained import here
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.people import avatars_by_label, choices
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.wording import trained_by

BEST = "best"


def build(page: Page) -> Any:
    """The choice, in sight where there is one; its value is what `wanted` reads."""
    first = [(text("create.file.best"), BEST)]
    radio = gr.Radio(
        first, value=BEST, label=text("create.file"), visible=False, elem_id=elem_id("file"), elem_classes="pa-choice"
    )
    page.show(page.say(page.read("file", radio), label="create.file"), _follow, watched=("choices", "visible"))
    page.show(gr.HTML(elem_id=elem_id("file_why")), lambda scene: {"value": _why(scene)})
    return radio


def wanted(choice: str | None) -> str:
    """What a `CreateRequest` calls the file; "" for the best."""
    return "" if choice in (None, BEST) else str(choice)


def _points(scene: Scene) -> tuple[Checkpoint, ...]:
    """The files of the chosen person that fit the loaded checkpoint and are here, the newest last; all, where none is:
    pictures are refused then, and why."""
    fitting = _fitting(scene)
    return here(fitting, scene.studio.host.folders()) or fitting


def _fitting(scene: Scene) -> tuple[Checkpoint, ...]:
    avatar, base = avatars_by_label(scene).get(choices(scene)["value"] or ""), scene.checkpoint
    return () if avatar is None or isinstance(base, AvatarError) else avatar.fitting(base.family)


def _follow(scene: Scene) -> dict[str, Any]:
    points = _points(scene)
    files = [(_label(one, scene), f"{one.method.value}/{one.path.name}") for one in best_first(points)]
    named = [(scene.say("create.file.best"), BEST), *files]
    chosen, known = scene.values.get("file"), [code for _, code in named]
    return {"choices": named, "value": chosen if chosen in known else BEST, "visible": len(points) > 1}


def _label(point: Checkpoint, scene: Scene) -> str:
    said = called(point, scene)
    return said if scores_of(point) else scene.say("create.file.unmeasured", file=said)


def called(point: Checkpoint, scene: Scene) -> str:
    """What the page calls a trained file."""
    return f"{trained_by(point.method, point.engine, scene.language)} ({point.path.name})"


def _why(scene: Scene) -> str:
    """Which file is the best, beside others; which one takes its place when it is gone."""
    points, first = _points(scene), best_of(_fitting(scene))
    best = best_of(points)
    if best is not None and first is not None and best != first:
        gone = scene.say("create.file.why.gone", gone=called(first, scene), file=called(best, scene))
        return tag("p", escape(gone), class_="pa-note")
    if best is None or len(points) < 2:
        return ""
    measured = [one for one in points if scores_of(one)]
    newest = (measured or points)[-1]
    said = scene.say(_reason(best, measured), file=called(best, scene), newest=called(newest, scene))
    return tag("p", escape(said), class_="pa-note")


def _reason(best: Checkpoint, measured: Sequence[Checkpoint]) -> str:
    """The sentence that says why it is the best; `measured`: the files that were, the newest last."""
    if len(measured) < 2:
        return "create.file.why.measured" if measured else "create.file.why.unmeasured"
    if best.place != measured[-1].place:
        return "create.file.why.far"
    if best != measured[-1]:
        return "create.file.why.older"
    alike = [one for one in measured if one.place == best.place]
    return "create.file.why.best" if len(alike) > 1 else "create.file.why.newest"
