"""Part of the panel "Train": what a training made, how good it is, why this checkpoint, and what to do better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from personal_avatar.avatars import subject_prompt
from personal_avatar.domain import NO_RECOVERY, Checkpoint, Likeness, Method, from_json
from personal_avatar.domain.merit import best_of
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.reports.comparison import scores_in
from personal_avatar.studio.trained import here
from personal_avatar.ui.labels import labelled
from personal_avatar.ui.markup import box, facts, tag
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.trained_files import called
from personal_avatar.wording import can_say, memory, score, share, size, span

Result = Mapping[str, Any]
LIKENESS = ("floor", "after", "ceiling")


def outcome_html(view: JobView, scene: Scene, shelf: Shelf) -> str:
    """All that the result document of a training tells a person; empty where nothing was made."""
    result = view.result or {}
    if not made_something(view):
        return ""
    numbers = facts(list(_likeness(result, scene))) + facts(list(_made(result, scene)))
    return _ready(view, scene) + _not_best(result, view, scene) + numbers + _told(result, scene, shelf)


def _ready(view: JobView, scene: Scene) -> str:
    """That there is a file, and whether it is what was wanted."""
    scores = scores_in(view.result or {})
    if scores is None:
        return box("info", scene.say("train.done.unmeasured", name=view.job.title))
    if scores.likeness.recovered < NO_RECOVERY:
        return box("warn", scene.say("train.done.not_learned", name=view.job.title))
    return box("good", scene.say("train.done", name=view.job.title))


def made_something(view: JobView) -> bool:
    """Whether a training ended with a file; one that was cancelled may have kept its best."""
    return view.status.state in (State.SUCCEEDED, State.CANCELLED) and bool(view.result)


def _not_best(result: Result, view: JobView, scene: Scene) -> str:
    """That portraits of the person are made with a better file, where that is so; this one can be chosen."""
    avatar = next((one for one in scene.avatars if one.id == view.job.avatar_id), None)
    if avatar is None or not result.get("checkpoint"):
        return ""
    made = from_json(Checkpoint, result["checkpoint"])
    points = here(avatar.fitting(made.family), scene.studio.host.folders())
    own, best = next((one for one in points if one.path == made.path), None), best_of(points)
    if own is None or best is None or own == best:
        return ""
    said = scene.say("train.done.not_best", best=called(best, scene), file=called(own, scene))
    return tag("p", escape(said), class_="pa-note")


def _likeness(result: Result, scene: Scene) -> Iterator[tuple[str, str]]:
    """How like it became, and at what cost: what of it was measured."""
    found = result.get("likeness") or {}
    measured = {part: found[part] for part in LIKENESS if found.get(part) is not None}
    for part, value in measured.items():
        yield scene.say(f"likeness.{part}"), score(value)
    if len(measured) == len(LIKENESS):
        yield scene.say("report.recovered"), share(from_json(Likeness, measured).recovered)
    if second := result.get("second_opinion"):
        yield scene.say("likeness.second", name=second["recogniser"]), share(second["recovered"])
    if result.get("leakage") is not None:
        yield scene.say("report.leakage"), score(result["leakage"])
    yield scene.say("report.following"), _following(result)
    if result.get("diversity") is not None:
        yield scene.say("report.diversity"), share(result["diversity"])


def _following(result: Result) -> str:
    """Before and after; empty when it was not measured."""
    before, after = result.get("prompt_following_before"), result.get("prompt_following")
    shares = [before, after] if after is not None else []
    return " → ".join(share(one) for one in shares if one is not None)


def _made(result: Result, scene: Scene) -> Iterator[tuple[str, str]]:
    """Where the trained file lies, how a prompt uses it, what it took."""
    if result.get("checkpoint"):
        point = from_json(Checkpoint, result["checkpoint"])
        room = f" ({size(result['file_mb'])})" if result.get("file_mb") else ""
        yield scene.say("train.file"), f"{point.path.parent.name}/{point.path.name}{room}"
        if point.method is Method.DREAMBOOTH:  # a checkpoint has to be chosen first
            yield scene.say("train.pick"), point.path.stem
        yield scene.say("train.use"), subject_prompt(point, 1.0)
        if point.clip_skip not in (0, now := scene.studio.host.clip_skip()):
            yield scene.say("plan.clip_skip"), scene.say("train.clip_skip", wanted=point.clip_skip, now=now)
    if result.get("seconds") is not None:
        yield scene.say("estimate.time"), span(result["seconds"], scene.language)
    if result.get("peak_memory_gb"):
        yield scene.say("estimate.memory_gb"), memory(result["peak_memory_gb"])


def _told(result: Result, scene: Scene, shelf: Shelf) -> str:
    """Why this checkpoint, what to change, and the whole report."""
    why, advice = _said(result, "choice", "choice", scene), _said(result, "advice", "train_advice", scene)
    parts = [
        tag("h3", escape(scene.say("report.why"))) + tag("p", " ".join(why)) + _seeds(result, scene) if why else "",
        tag("h3", escape(scene.say("train.advice"))) + _list(advice) if advice else "",
        _report(result, scene, shelf),
    ]
    return tag("div", *parts, class_="pa-told") if any(parts) else ""


def _seeds(result: Result, scene: Scene) -> str:
    """Why the numbers of the choice, and of the curve, are not those above."""
    return tag("p", escape(scene.say("report.seeds")), class_="pa-note") if scores_in(result) else ""


def _said(result: Result, name: str, family: str, scene: Scene) -> list[str]:
    """HTML of each sentence: by its code in the language of the page; of a result without codes, or with one that this
    page does not know so, as it was written, in English."""
    codes = result.get(f"{name}_codes") or ()
    if codes and all(can_say(f"{family}.{one['code']}", one["values"]) for one in codes):
        said = [scene.say(f"{family}.{one['code']}", **one["values"]) for one in codes]
        return [escape(labelled(one, scene.language)) for one in said]
    written = result.get(name) or ()
    return [tag("span", escape(one), lang="en") for one in ([written] if isinstance(written, str) else written)]


def _list(sentences: list[str]) -> str:
    return tag("ul", *(tag("li", sentence) for sentence in sentences), class_="pa-advice")


def _report(result: Result, scene: Scene, shelf: Shelf) -> str:
    """A link to the page that the training wrote, while that is there."""
    path = Path(result.get("report") or "")
    if not path.is_file():
        return ""
    link = tag(
        "a", escape(scene.say("train.report")), href=f"{shelf.url(path)}#{scene.language}", target="_blank",
        class_="pa-button", id=f"pa-report-{shelf.component.elem_id}-{path.parent.name}",
    )
    return tag("div", link, class_="pa-buttons")
