"""Panel "Photos": lay out the photos of one person, have them checked, and decide about each."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import CLASS_NOUNS
from personal_avatar.ui import captions, photo_cuts
from personal_avatar.ui.about import About
from personal_avatar.ui.judging import lay_out, mean, remove, take
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import QUIET, Page, elem_id
from personal_avatar.ui.photo_cards import PRESS, cards
from personal_avatar.ui.photo_pictures import pictures_of
from personal_avatar.ui.photo_report import coverage_html, lacking_html, summary_html
from personal_avatar.ui.photo_settings import SettingsForm
from personal_avatar.ui.pictures import Shelf, Upload, drop_uploads
from personal_avatar.ui.presses import Pressed, listen
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import DEFAULT, text

PART = "photo_part"
PARTS = ("report", "cut", "captions")
TAKES = {"take": True, "leave": False, "back": None}


def build(page: Page, tabs: gr.Tabs) -> About:
    """The panel, inside the current tab; returns the widgets for name, noun and consent."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            files, folder = _sources(page)
            about = About(page)
            form = SettingsForm(page)
            check, clear, message = _buttons(page)
        with gr.Column(scale=3, min_width=300):
            _report(page, tabs, message)
    _wire(page, (files, folder), about, form, check, clear, message)
    return about


def _wire(
    page: Page, sources: tuple[Any, Any], about: About, form: SettingsForm, check: Any, clear: Any, message: Any
) -> None:
    def noted_and_checked(scene: Scene, files: list[Any] | None, folder: str, *rest: Any) -> list[Any]:
        form.note(scene, *about.noted(scene, rest))
        return _check(scene, files, folder)

    def cleared(scene: Scene) -> list[Any]:
        scene.desk.clear(scene.key)
        return [None, "", "", CLASS_NOUNS[0], False, *form.reset()]

    page.on(check.click, noted_and_checked, [*sources, *about.inputs, *form.components], list(sources), message)
    page.on(sources[0].upload, _check, list(sources), list(sources), message)  # told when the files have arrived
    page.on(clear.click, cleared, [], [*sources, *about.components, *form.components], message)
    form.remember(page, message)
    about.remember(message)


def _proceed(page: Page, tabs: gr.Tabs) -> None:
    page.show(gr.HTML(elem_id=elem_id("photos_lacking")), lambda scene: {"value": lacking_html(scene)})
    button = gr.Button(text("photos.proceed"), variant="primary", visible=False, elem_id=elem_id("proceed"))
    page.say(button, value="photos.proceed")
    page.show(button, lambda scene: {"visible": bool(scene.draft.accepted) and scene.checking is None})
    button.click(lambda: gr.Tabs.update(selected="train"), None, tabs, **QUIET)


def _sources(page: Page) -> tuple[Any, Any]:
    """Uploaded files, and a folder where this page may ask for one."""
    files = upload(page, "files", "photos.files")
    folder = gr.Textbox(
        label=text("photos.folder"), info=text("photos.folder.info"), max_lines=1, visible=page.ask_folder,
        elem_id=elem_id("folder"),
    )
    page.say(folder, label="photos.folder", info="photos.folder.info")
    return files, folder


def upload(page: Page, name: str, label: str, *, several: bool = True, height: int = 150) -> Any:
    """A place for photos; `label` is a key. Our script gives it words and the keyboard."""
    count = "multiple" if several else "single"
    files = Upload(
        file_count=count, label=text(label), elem_id=elem_id(name), elem_classes="pa-files", height=height
    )
    return page.say(files, label=label)


def _buttons(page: Page) -> tuple[Any, Any, Any]:
    with gr.Row():
        check = gr.Button(text("photos.check"), variant="primary", elem_id=elem_id("check"))
        clear = gr.Button(text("photos.clear"), elem_id=elem_id("clear"))
    page.say(check, value="photos.check")
    page.say(clear, value="photos.clear")
    return check, clear, gr.HTML(elem_id=elem_id("photos_message"))


def _check(scene: Scene, files: list[Any] | None, folder: str) -> list[Any]:
    lay_out(scene.desk, scene.key, [Path(file.name) for file in files or []], folder)
    drop_uploads(files)
    return [None, ""]


# -- the report, and what is decided in it


def _report(page: Page, tabs: gr.Tabs, message: Any) -> None:
    page.show(gr.HTML(elem_id=elem_id("report")), lambda scene: {"value": summary_html(scene)})
    _proceed(page, tabs)
    opened = _parts(page)
    with _part(page, "report"):
        page.show(gr.HTML(elem_id=elem_id("coverage")), lambda scene: {"value": coverage_html(scene)})
        _verdicts(page, message)
    with _part(page, "cut"):
        photo_cuts.build(page, partial(_in_sight, "cut"), opened)
    with _part(page, "captions"):
        captions.build(page, partial(_in_sight, "captions"))


def _parts(page: Page) -> gr.Radio:
    """Which of the parts is in sight; there is a choice once there is a report."""

    def words(language: str) -> list[tuple[str, str]]:
        return [(text(f"photos.part.{part}", language), part) for part in PARTS]

    radio = gr.Radio(
        words(DEFAULT), value=PARTS[0], label=text("photos.part"), show_label=False, container=False,
        elem_id=elem_id(PART), elem_classes="pa-parts",
    )  # fmt: skip
    page.say(page.read(PART, radio), label="photos.part")
    return page.show(radio, lambda scene: {"choices": words(scene.language), "visible": _ready(scene)})


def _part(page: Page, part: str) -> gr.Column:
    column = gr.Column(visible=part == PARTS[0], elem_id=elem_id(f"photos_{part}"))
    return page.show(column, lambda scene: {"visible": _ready(scene) and _in_sight(part, scene)})


def _in_sight(part: str, scene: Scene) -> bool:
    return _ready(scene) and scene.values.get(PART, PARTS[0]) == part


def _ready(scene: Scene) -> bool:
    return scene.checking is None and scene.draft.report is not None


def _verdicts(page: Page, message: Any) -> None:
    shelf = page.shelf("photo_cards")
    page.show(shelf.component, lambda scene: {"value": _cards(scene, shelf)})
    view = gr.HTML(elem_id=elem_id("photo_view"), elem_classes="pa-hidden")

    def decide(scene: Scene, value: Pressed) -> list[Any]:
        return [_enlarged(scene, shelf, value)] if value.get("do") == "large" else _decided(scene, value)

    listen(page, PRESS, decide, [view], message)


def _cards(scene: Scene, shelf: Shelf) -> str:
    if not _in_sight(PARTS[0], scene):
        return ""
    return cards(scene, shelf, pictures_of(scene.desk.folder(scene.key)))


def _decided(scene: Scene, value: Pressed) -> list[Any]:
    """What a button on a card does."""
    desk, key, name, do = scene.desk, scene.key, str(value.get("photo", "")), value.get("do")
    if do in TAKES:
        take(desk, key, name, TAKES[do])
    elif do == "face":
        mean(desk, key, name, int(value.get("face", -1)))
    elif do == "remove":
        remove(desk, key, name)
    return [gr.update()]


def _enlarged(scene: Scene, shelf: Shelf, value: Pressed) -> str:
    """A picture for the large view, which our script puts in the place of the small one."""
    verdict = scene.draft.verdict(str(value.get("photo", "")))
    large = pictures_of(scene.desk.folder(scene.key)).large(verdict.path)
    return tag("div", "", data_pa_photo_large=verdict.path.name, data_source=shelf.url(large)) if large else ""
