"""Part of the caption editor: which taggers there are and what they lack, and captions written by one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.captions.taggers import TEMPLATE
from personal_avatar.domain import Look
from personal_avatar.errors import NotFound, TooFewPhotos, WrongState
from personal_avatar.faces.look import majority
from personal_avatar.jobs.states import ENDED
from personal_avatar.jobs.store import JobView
from personal_avatar.studio.captioning import TaggerStatus
from personal_avatar.ui import caption_book as book
from personal_avatar.ui.desk import NO_CAPTION_JOB
from personal_avatar.ui.fetching import Fetching, fetching_html
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import progress_bar, stored_error_box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.presses import Pressed, button, listen
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import has, text
from personal_avatar.ui.widgets import Form, defaults_of, said
from personal_avatar.ui.working import CAPTION, Progress
from personal_avatar.weights.registry import find

TAGGER = PRESS = "tagger"
Shown = Callable[[Scene], bool]


def build(page: Page, shown: Shown) -> None:
    """Built inside the current block; `shown`: whether the part is in sight."""
    fetching = Fetching()
    missing = gr.HTML(elem_id=elem_id("taggers_missing"))
    page.show(missing, lambda scene: {"value": _missing(scene, fetching) if shown(scene) else ""})
    message = gr.HTML(elem_id=elem_id("tagger_message"))
    listen(page, PRESS, lambda scene, value: _fetch(scene, value, fetching), [], message)
    with gr.Column(visible=False, elem_id=elem_id("tagger_run")) as column:
        _run(page, shown, message)
    page.show(column, lambda scene: {"visible": shown(scene) and any(status.ready for status in taggers(scene))})

    def told(scene: Scene) -> dict[str, Any]:
        _collect(scene)
        return {"value": _progress(scene) if shown(scene) else ""}

    page.show(gr.HTML(elem_id=elem_id("tagger_progress")), told)


def _run(page: Page, shown: Shown, message: Any) -> None:
    radio = gr.Radio([], label=text("caption.tagger"), elem_id=elem_id(TAGGER), elem_classes="pa-choice")
    page.say(page.read(TAGGER, radio), label="caption.tagger")
    page.show(radio, lambda scene: _choices(scene) if shown(scene) else {}, watched=("choices",))
    form = Form(page, CaptionSettings.__fields__.values(), "tagging", tuple(CaptionSettings.__fields__))
    only = gr.Checkbox(True, label=text("caption.onlynew"), elem_id=elem_id("caption_onlynew"))
    page.say(only, label="caption.onlynew")
    run = page.say(gr.Button(text("caption.write"), elem_id=elem_id("caption_write")), value="caption.write")

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
    value = chosen if chosen in ready else _proposed(scene, ready)
    return {"choices": [(_words(name, scene), name) for name in ready], "value": value, "visible": bool(ready)}


def _proposed(scene: Scene, ready: Sequence[str]) -> str | None:
    """What suits the photos, or the drawings, that are laid out."""
    if not ready:
        return None
    report = scene.draft.report
    best = scene.studio.captions.recommended(majority(one.look for one in report.photos) if report else Look.PHOTO)
    return best if best in ready else ready[0]


def _words(name: str, scene: Scene) -> str:
    return said(f"tagger.{name}", scene.language) if has(f"tagger.{name}") else name


# -- what the others lack


def _missing(scene: Scene, fetching: Fetching) -> str:
    """Each of them with its download; folded away when at least one tagger is ready."""
    found = taggers(scene)
    lacking = [status for status in found if not status.ready]
    if not lacking:
        return _fetched(scene, fetching)
    rows = [_lack(status, scene, fetching.state.running) for status in lacking]
    title = tag("summary", escape(scene.say("caption.lacking", n=len(lacking))))
    opened = len(lacking) == len(found) or fetching.state.running
    body = tag("ul", *rows, class_="pa-advice pa-lacks")
    return tag("details", title, body, id="pa-taggers", open=opened) + _fetched(scene, fetching)


def _lack(status: TaggerStatus, scene: Scene, fetching: bool) -> str:
    name = tag("strong", escape(_words(status.name, scene)))
    if not status.weights:
        return tag("li", name, tag("div", escape(f"{status.missing} {status.hint}".strip()), lang="en"))
    weights = [find(weight) for weight in status.weights]
    size = scene.say("caption.size", mb=round(sum(weight.size_mb for weight in weights)))
    licences = {weight.licence: weight.licence_url for weight in weights}
    away = {"target": "_blank", "rel": "noopener noreferrer"}
    links = [tag("a", escape(licence), href=url, **away) for licence, url in licences.items()]
    words = scene.say("caption.fetch")
    press = button(PRESS, f"pa-fetch-{status.name}", words, f"{words}: {status.name}", "pa-slim", fetch=status.name)
    facts = tag("div", escape(size), " · ", scene.say("caption.licence"), " ", ", ".join(links))
    return tag("li", name, facts, "" if fetching else tag("div", press, class_="pa-buttons"))


def _fetched(scene: Scene, fetching: Fetching) -> str:
    stop = scene.say("one.stop")
    press = button(PRESS, "pa-fetch-stop", stop, stop, "pa-slim", stop=True)
    return fetching_html(fetching, scene, tag("div", press, class_="pa-buttons"))


def _fetch(scene: Scene, value: Pressed, fetching: Fetching) -> list[Any]:
    """Pressing the button is the consent to the licence that stands beside it."""
    if value.get("stop"):
        fetching.stop()
        return []
    wanted = next((status for status in taggers(scene) if status.name == value.get("fetch")), None)
    if wanted is None or not wanted.weights:
        raise Refusal(WrongState, "nothingmissing")
    fetching.start([find(name) for name in wanted.weights], scene.studio.weights_folder)
    return []


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
    contents = book.contents_of(photos)
    subject: dict[str, Any] = {"trigger": book.trigger_of(scene.draft), "class_noun": scene.draft.class_noun}
    if status.here:
        suggest = partial(scene.studio.captions.suggest, photos, name, **subject, settings=settings)
        _write_here(scene, suggest, captions, contents)
    else:
        title = scene.draft.name or scene.say("photos.part.captions")
        job = scene.studio.captions.start(photos, name, **subject, settings=settings, title=title)
        jobs = (*scene.draft.caption_jobs, job.id)
        begun = {"captions_before": captions, "captioned": contents}
        scene.desk.note(scene.key, caption_job=job.id, caption_jobs=jobs, **begun)


def _write_here(
    scene: Scene, suggest: Callable[[Progress], dict[Path, str]], before: book.Captions, photos: dict[str, str]
) -> None:
    """Nothing is written, and no failure told, when the draft was erased meanwhile."""
    desk, key, began = scene.desk, scene.key, scene.desk.erased(scene.key)

    def work(progress: Progress) -> None:
        try:
            found = suggest(progress)
        except Exception:
            if desk.gone(key, began):
                return
            raise
        with desk.lock:
            if not desk.gone(key, began):
                book.hand_over(desk, key, {path.name: caption for path, caption in found.items()}, before, photos)

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
    return scene.view(scene.draft.caption_job)


def _collect(scene: Scene) -> None:
    """A job that ended hands over its captions, once, or why it has none."""
    view = _job(scene)
    if not scene.draft.caption_job or (view is not None and view.status.state not in ENDED):
        return
    before, photos = scene.draft.captions_before, scene.draft.captioned
    scene.desk.note(scene.key, **NO_CAPTION_JOB)
    if view is not None and view.status.error:
        scene.desk.work.fail(scene.key, CAPTION, view.status.error)
    elif view is not None and view.result:
        book.hand_over(scene.desk, scene.key, view.result.get("captions") or {}, before, photos)
