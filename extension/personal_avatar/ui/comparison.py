"""Part of the panel "Train": what each method made of the same photos, once there are several to compare."""

from __future__ import annotations

from html import escape
from pathlib import Path

from personal_avatar.domain import Engine, Method
from personal_avatar.jobs.states import State
from personal_avatar.reports.comparison import Row, comparable, spoken
from personal_avatar.studio import TRAIN
from personal_avatar.ui.markup import tag
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import Scene

COLUMNS = {
    "recovered": "likeness.recovered",
    "prompt_following": "likeness.prompt_following",
    "diversity": "likeness.diversity",
    "leakage": "likeness.leakage",
    "seconds": "estimate.time",
    "peak_memory_gb": "estimate.memory_gb",
    "file_mb": "estimate.file_mb",
}
PICTURES = 4


def comparison_html(scene: Scene, shelf: Shelf) -> str:
    """The methods, best first: numbers, and pictures of the same prompts and seeds. Empty while there is only one."""
    shown = scene.training
    if shown is None:
        return ""
    ended = [view for view in scene.views if view.status.state is State.SUCCEEDED and view.job.kind == TRAIN]
    rows = comparable([view.result for view in ended if view.result and view.job.avatar_id == shown.job.avatar_id])
    if len(rows) < 2:
        return ""
    title = scene.say("compare.title")
    lines = "".join(_line(row, scene, shelf) for row in rows)
    table = tag("table", tag("thead", tag("tr", _heads(scene))), tag("tbody", lines), class_="pa-table")
    return tag("h3", escape(title)) + tag("div", table, class_="pa-wide", role="region", tabindex=0, aria_label=title)


def _heads(scene: Scene) -> str:
    keys = ["train.method", *COLUMNS.values(), "compare.pictures"]
    return "".join(tag("th", escape(scene.say(key)), scope="col") for key in keys)


def _line(row: Row, scene: Scene, shelf: Shelf) -> str:
    numbers = "".join(tag("td", spoken(name, row.numbers[name])) for name in COLUMNS)
    alt = scene.say("train.sample.alt")
    made = [path for path in row.pictures if Path(path).is_file()][:PICTURES]
    pictures = "".join(f'<img src="{shelf.url(path)}" alt="{escape(alt)}" loading="lazy">' for path in made)
    return tag("tr", tag("th", escape(_name(row, scene)), scope="row"), numbers, tag("td", pictures))


def _name(row: Row, scene: Scene) -> str:
    name = scene.say(f"method.{Method(row.method).value}")
    engine = Engine(row.engine)
    return name if engine is Engine.DIFFUSERS else f"{name}, {scene.say('engine.' + engine.value)}"
