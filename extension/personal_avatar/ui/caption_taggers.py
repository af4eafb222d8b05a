"""Part of the caption editor: which taggers there are and what they lack, and captions written by one of them."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.captioning import TaggerStatus
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.captions.taggers import TEMPLATE
from personal_avatar.errors import NotFound, TooFewPhotos, WrongState
from personal_avatar.jobs.states import ENDED
from personal_avatar.jobs.store import JobView
from personal_avatar.ui import caption_book as book
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import progress_bar, stored_error_box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import has, text
from personal_avatar.ui.widgets import Form, defaults_of, said
from personal_avatar.ui.working import CAPTION, Progress

TAGGER = "tagger"
Shown = Callable[[Scene], bool]


def build(page: Page, shown: Shown) -> None:
    """Built inside the current block; `shown`: whether the part is in sight."""
    radio = gr.Radio([], label=text("caption.tagger"), elem_id=elem_id(TAGGER), elem_classes="pa-choice")
    page.say(page.read(TAGGER, radio), label="caption.tagger")
    page.show(radio, lambda scene: _choices(scene) if shown(scene) else {}, watched=("choices",))
    missing = gr.HTML(elem_id=elem_id("taggers_missing"))
    page.show(missing, lambda scene: {"value": _missing(scene) if shown(scene) else ""})
    form = Form(page, CaptionSettings.__fields__.values(), "tagging", tuple(CaptionSettings.__fields__))
    only = gr.Checkbox(True, label=text("caption.onlynew"), elem_id=elem_id("caption_onlynew"))
    page.say(only, label="caption.onlynew")
    run = page.say(gr.Button(text("caption.write"), elem_id=elem_id("caption_write")), value="caption.write")
    message = gr.HTML(elem_id=elem_id("tagger_message"))

    def told(scene: Scene) -> dict[str, Any]:
        _collect(scene)
        return {"value": _progress(scene) if shown(scene) else ""}

    page.show(gr.HTML(elem_id=elem_id("tagger_progress")), told)

    def write(scene: Scene, name: str | None, only_new: bool, *raw: Any) -> list[Any]:
        start(scene, name or "", bool(only_new), form.values(raw, defaults_of(CaptionSettings)))
        return []

    page.on(run.click, write, [radio, only, *form.components], [], message)


# -- which there are


def taggers(scene: Scene) -> tuple[TaggerStatus, ...]:
    """All but the template, which is what a photo without a caption gets anyway."""
    return tuple(status for status in scene.studio.captions.taggers() if status.name != TEMPLATE)


def _choices(scene: Scene) -> dict[str, Any]:
    ready = [status.name for status in taggers(scene) if status.ready]
    chosen = scene.values.get(TAGGER)
    value = chosen if chosen in ready else next(iter(ready), None)
    return {"choices": [(_words(name, scene), name) for name in ready], "value": value, "visible": bool(ready)}


def _words(name: str, scene: Scene) -> str:
    return said(f"tagger.{name}", scene.language) if has(f"tagger.{name}") else name


def _name(name: str, scene: Scene) -> str:
    return scene.say(f"tagger.{name}") if has(f"tagger.{name}") else name


def _missing(scene: Scene) -> str:
    """What each of the others lacks, folded away when at least one is ready."""
    found = taggers(scene)
    lacking = [status for status in found if not status.ready]
    if not lacking:
        return ""
    rows = [
        tag("li", tag("strong", escape(_name(status.name, scene))), ": ", tag("span", escape(_lack(status)), lang="en"))
        for status in lacking
    ]
    title = tag("summary", escape(scene.say("caption.lacking", n=len(lacking))))
    return tag(
        "details", title, tag("ul", *rows, class_="pa-advice"), id="pa-taggers", open=len(lacking) == len(found)
    )


def _lack(status: TaggerStatus) -> str:
    return " ".join(filter(None, (status.missing, status.hint)))


# -- writing


def start(scene: Scene, name: str, only_new: bool, settings: dict[str, Any]) -> None:
    """Raises `NotFound` without a tagger, `TooFewPhotos` when every photo has a caption already, `WrongState` while
    captions are being written."""
    status = next((status for status in taggers(scene) if status.name == name and status.ready), None)
    if status is None:
        raise Refusal(NotFound, "notagger")
    captions = book.captions_of(scene.draft)
    photos = [path for path in book.photos_of(scene.draft) if not (only_new and captions[path.name])]
    if not photos:
        raise Refusal(TooFewPhotos, "allcaptioned")
    if scene.draft.caption_job:
        raise Refusal(WrongState, "working")
    subject = {"trigger": book.trigger_of(scene.draft), "class_noun": scene.draft.class_noun}
    if status.here:
        _write_here(scene, photos, name, {**subject, "settings": settings})
    else:
        title = scene.draft.name or scene.say("photos.part.captions")
        job = scene.studio.captions.start(photos, name, **subject, settings=settings, title=title)
        scene.desk.note(scene.key, caption_job=job.id)


def _write_here(scene: Scene, photos: list[Path], name: str, how: dict[str, Any]) -> None:
    desk, key = scene.desk, scene.key

    def work(progress: Progress) -> None:
        found = desk.studio.captions.suggest(photos, name, progress, **how)
        book.take(desk, key, {path.name: caption for path, caption in found.items()})

    desk.work.start(key, CAPTION, len(photos), work)


def _progress(scene: Scene) -> str:
    """How the writing goes, or why it ended early."""
    if (work := scene.desk.work.now(scene.key, CAPTION)) is not None:
        words = scene.say("caption.writing", done=work.done, total=work.total)
        bar = progress_bar(work.done / max(1, work.total), words)
        return tag("div", tag("p", escape(words)), bar, class_="pa-wait")
    if error := scene.desk.work.error(scene.key, CAPTION):
        return stored_error_box(error, scene.language)
    view = _job(scene)
    return progress_html(view, scene) if view is not None and view.status.state not in ENDED else ""


def _job(scene: Scene) -> JobView | None:
    wanted = scene.draft.caption_job
    return next((view for view in scene.views if view.job.id == wanted), None) if wanted else None


def _collect(scene: Scene) -> None:
    """A job that ended hands over its captions, once, or why it has none."""
    view = _job(scene)
    if not scene.draft.caption_job or (view is not None and view.status.state not in ENDED):
        return
    scene.desk.note(scene.key, caption_job="")
    if view is not None and view.status.error:
        scene.desk.work.fail(scene.key, CAPTION, view.status.error)
    elif view is not None and view.result:
        book.take(scene.desk, scene.key, view.result.get("captions") or {})
