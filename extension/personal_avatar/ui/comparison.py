"""Part of the panels "Train" and "Jobs": what each method made of the same photos, once there are several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from textwrap import shorten

from personal_avatar.domain import ONE_PHOTO
from personal_avatar.errors import AvatarError
from personal_avatar.jobs.store import JobView
from personal_avatar.reports.comparison import HEADS, Row, columns, notes, spoken
from personal_avatar.reports.comparison_sheet import picture_heads
from personal_avatar.studio.compared import beside, compared
from personal_avatar.studio.works import COMPARED
from personal_avatar.ui.markup import box, error_box, tag, title_of, words_of
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import Scene
from personal_avatar.wording import method_name

PICTURES = 6
HEAD_LETTERS = 56


def comparison_html(scene: Scene, shelf: Shelf) -> str:
    """Of the training in sight, under a heading; or why there is none. Empty while there is only one method."""
    shown = scene.training
    if shown is None:
        return ""
    rows = compared([view for view in _views(scene) if view.job.avatar_id == shown.job.avatar_id])
    if len(rows) < 2:
        return _failure(rows, scene)
    return tag("h3", escape(scene.say("compare.title"))) + _table(rows, scene, shelf)


def comparison_of(view: JobView, scene: Scene, shelf: Shelf) -> str:
    """That in which one job stands; empty where it stands alone, but for what photos alone made, of which nothing else
    tells."""
    rows = beside(view, _views(scene)) if view.job.kind in COMPARED else []
    alone = view.job.kind == ONE_PHOTO and any(row.error is None for row in rows)
    return _table(rows, scene, shelf) if len(rows) > 1 or alone else ""


def _views(scene: Scene) -> Iterator[JobView]:
    return (view for kind in COMPARED for view in scene.of_kind(kind))


def _table(rows: Sequence[Row], scene: Scene, shelf: Shelf) -> str:
    """The methods, best first: numbers, and pictures of the same prompts and seeds."""
    names = columns(rows)
    lines = "".join(_line(row, names, scene) for row in rows)
    table = tag("table", tag("thead", tag("tr", _heads(names, scene))), tag("tbody", lines), class_="pa-table")
    numbers = tag("div", table, class_="pa-wide", role="region", tabindex=0, aria_label=scene.say("compare.title"))
    told = [tag("p", escape(said), class_="pa-note") for said in notes(rows, scene.language)]
    asked = picture_heads(rows)[:PICTURES]
    pictures = [_pictures(row, asked, scene, shelf) for row in rows]
    return "".join((numbers, *told, _picture_heads(asked), *pictures))


def left_out_html(left_out: Mapping[str, AvatarError], scene: Scene) -> str:
    """Why ways are not compared that were wanted, and what to do."""
    language = scene.language
    return "".join(
        box("warn", f"{scene.say('compare.left_out', method=method_name(way, language))} {title_of(error, language)}",
            *words_of(error, language))
        for way, error in left_out.items()
    )


def _failure(rows: Sequence[Row], scene: Scene) -> str:
    """Why nothing was made of the photos alone, when that is all there is to tell: of a training its own box does."""
    return "".join(error_box(row.error, scene.language) for row in rows if row.error and row.method == ONE_PHOTO)


def _heads(names: Sequence[str], scene: Scene) -> str:
    keys = ["train.method", *(HEADS[name] for name in names)]
    return "".join(tag("th", escape(scene.say(key)), scope="col") for key in keys)


def _line(row: Row, names: Sequence[str], scene: Scene) -> str:
    cells = "".join(tag("td", spoken(name, row.numbers[name], scene.language)) for name in names)
    if row.error is not None:
        told = box("bad", title_of(row.error, scene.language), *words_of(row.error, scene.language))
        cells = tag("td", told, colspan=len(names))
    name = row.named(scene.language)
    said = scene.say("create.file.unmeasured", file=name) if row.is_unmeasured else name
    return tag("tr", tag("th", escape(said), scope="row"), cells)


def _picture_heads(asked: Sequence[str]) -> str:
    """Above the strips, in their columns: what the pictures were asked for, short; whole where the mouse rests."""
    heads = (tag("small", escape(shorten(one, HEAD_LETTERS, placeholder=" …")), title=one, lang="en") for one in asked)
    return tag("div", *heads, class_="pa-same") if any(asked) else ""


def _pictures(row: Row, asked: Sequence[str], scene: Scene, shelf: Shelf) -> str:
    """A strip under the method's name; below each other the strips show the same prompts and seeds."""
    name = row.named(scene.language)
    alt = f"{scene.say('train.sample.alt')}, {name}"
    made = [(path, one) for path, one in zip(row.pictures, asked, strict=False) if path.is_file()]
    shown = "".join(_picture(shelf.url(path), f"{alt}: {one}" if one else alt) for path, one in made)
    strip = tag("div", shown, class_="pa-same")
    return tag("figure", tag("figcaption", escape(name)), strip, class_="pa-strips") if made else ""


def _picture(url: str, alt: str) -> str:
    return f'<img src="{url}" alt="{escape(alt)}" loading="lazy">'
