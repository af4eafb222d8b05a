"""Panel "Photos": lay out the photos of one person, have them checked, see a verdict and a reason for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import PhotoVerdict
from personal_avatar.photos.advice import advice_text, advise
from personal_avatar.studio import STYLE_NOUN
from personal_avatar.ui.desk import MOST_MB
from personal_avatar.ui.markup import badge, box, facts, progress_bar, stored_error_box, tag
from personal_avatar.ui.page import ONCE, QUIET, Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.thumbs import thumbnail

NOUNS = ("person", "woman", "man", "girl", "boy", "cat", "dog")


def build(page: Page, tabs: gr.Tabs) -> list[Any]:
    """The panel, inside the current tab; returns the widgets for name, noun and consent."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            files, folder = _sources(page)
            about = _about(page)
            check, clear, message = _buttons(page)
        with gr.Column(scale=3, min_width=300):
            page.show(gr.HTML(elem_id=elem_id("report")), _report)
            _proceed(page, tabs)
    page.on(check.click, _note_and_check, [files, folder, *about], [files, folder], message)
    page.on(files.upload, _check, [files, folder], [files, folder], message)  # told when the files have arrived
    page.on(clear.click, _clear, [], [files, folder, about[0], about[2]], message)
    _remember(page, about, message)
    return about


def _proceed(page: Page, tabs: gr.Tabs) -> None:
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
    files = gr.File(
        file_count=count, label=text(label), elem_id=elem_id(name), elem_classes="pa-files", height=height
    )
    return page.say(files, label=label)


def class_noun(page: Page, name: str, more: tuple[str, ...] = ()) -> Any:
    """Who somebody is, for the prompt."""
    noun = gr.Dropdown(
        [*NOUNS, *more], value=NOUNS[0], allow_custom_value=True, label=text("photos.noun"), min_width=140,
        elem_id=elem_id(name),
    )
    return page.say(noun, label="photos.noun")


def _about(page: Page) -> list[Any]:
    with gr.Row():
        name = gr.Textbox(label=text("photos.name"), max_lines=1, min_width=140, elem_id=elem_id("name"))
        noun = class_noun(page, "noun", (STYLE_NOUN,))
    consent = gr.Checkbox(False, label=text("photos.consent"), elem_id=elem_id("consent"))
    page.show(page.say(name, label="photos.name"), lambda scene: {"value": scene.draft.name}, watched=ONCE)
    page.show(noun, lambda scene: {"value": scene.draft.class_noun}, watched=ONCE)
    page.show(page.say(consent, label="photos.consent"), lambda scene: {"value": scene.draft.consent}, watched=ONCE)
    return [name, noun, consent]


def _buttons(page: Page) -> tuple[Any, Any, Any]:
    with gr.Row():
        check = gr.Button(text("photos.check"), variant="primary", elem_id=elem_id("check"))
        clear = gr.Button(text("photos.clear"), elem_id=elem_id("clear"))
    page.say(check, value="photos.check")
    page.say(clear, value="photos.clear")
    return check, clear, gr.HTML(elem_id=elem_id("photos_message"))


def _check(scene: Scene, files: list[Any] | None, folder: str) -> list[Any]:
    scene.desk.start_check(scene.key, [Path(file.name) for file in files or []], folder)
    return [None, ""]


def _note_and_check(scene: Scene, files: list[Any] | None, folder: str, *about: Any) -> list[Any]:
    note(scene, *about)
    return _check(scene, files, folder)


def note(scene: Scene, name: str, noun: str, consent: bool) -> list[Any]:
    """Remember what the user said about the person."""
    scene.desk.note(scene.key, name=name.strip(), class_noun=(noun or NOUNS[0]).strip(), consent=bool(consent))
    return []


def _remember(page: Page, about: list[Any], message: Any) -> None:
    """Each field is remembered alone: what else the page holds at that moment may be older than what is on its way."""

    def noted(field: str) -> Callable[..., list[Any]]:
        def remember(scene: Scene, value: Any) -> list[Any]:
            scene.desk.note(scene.key, **{field: value.strip() if isinstance(value, str) else value})
            return []

        return remember

    name, noun, consent = about
    page.on(name.blur, noted("name"), [name], [], message)
    page.on(noun.input, noted("class_noun"), [noun], [], message)
    page.on(noun.blur, noted("class_noun"), [noun], [], message)
    page.on(consent.input, noted("consent"), [consent], [], message)


def _clear(scene: Scene) -> list[Any]:
    scene.desk.clear(scene.key)
    return [None, "", "", False]


def _report(scene: Scene) -> dict[str, Any]:
    return {"value": report_html(scene)}


def report_html(scene: Scene) -> str:
    """The verdicts as cards, or what stands in their place: nothing yet, a check that goes on, a check that failed."""
    draft, checking = scene.draft, scene.checking
    if checking is not None:
        words = scene.say("photos.checking", done=checking.done, total=checking.total)
        return tag(
            "div",
            tag("p", escape(words)),
            progress_bar(checking.done / max(1, checking.total), words),
            class_="pa-wait",
        )
    if draft.error is not None:
        return stored_error_box(draft.error, scene.language)
    if draft.report is None:
        return _advice_before(scene)
    accepted, total = len(draft.accepted), len(draft.photos)
    kind = "good" if accepted else "bad"
    summary = box(kind, scene.say("photos.summary", accepted=accepted, total=total)) + _left_out(scene)
    advice = "".join(tag("li", escape(line)) for line in _advice(scene))
    cards = "".join(_card(verdict, scene) for verdict in draft.report.photos)
    return summary + (tag("ul", advice, class_="pa-advice") if advice else "") + tag("ul", cards, class_="pa-cards")


def _left_out(scene: Scene) -> str:
    names = scene.draft.left_out
    return box("warn", scene.say("photos.leftout", most=MOST_MB), ", ".join(names)) if names else ""


def _advice_before(scene: Scene) -> str:
    lines = [scene.say(f"photos.tip.{number}") for number in (1, 2, 3, 4)]
    items = "".join(tag("li", escape(line)) for line in lines)
    return tag("div", tag("h3", escape(scene.say("photos.tips"))), tag("ul", items), class_="pa-empty")


def _advice(scene: Scene) -> list[str]:
    """What would make the set better, in the user's language."""
    report = scene.draft.report
    if report is None:
        return []
    mixed = advice_text("MIXED_PEOPLE") in report.advice
    counts = Counter(reason.value for verdict in report.photos for reason in verdict.reasons)
    reasons = ", ".join(
        f"{count} × {scene.say(f'reason.{code}').rstrip('.。')}" for code, count in counts.most_common()
    )
    return [
        scene.say(f"advice.{advice.code}", **{**advice.values, "reasons": reasons})
        for advice in advise(report.photos, scene.draft.photo_settings, mixed)
    ]


def _card(verdict: PhotoVerdict, scene: Scene) -> str:
    good = verdict.accepted
    mark = badge("good", scene.say("verdict.accepted")) if good else badge("bad", scene.say("verdict.rejected"))
    reasons = "".join(_reason(reason.value, scene) for reason in verdict.reasons)
    return tag(
        "li",
        _picture(verdict, scene),
        tag(
            "div",
            mark,
            tag("div", escape(verdict.path.name), class_="pa-name"),
            tag("ul", reasons, class_="pa-reasons") if reasons else "",
            facts(_numbers(verdict, scene)),
            class_="pa-words",
        ),
        class_="pa-card" if good else "pa-card pa-off",
    )


def _picture(verdict: PhotoVerdict, scene: Scene) -> str:
    source = thumbnail(verdict.path, verdict.face)
    if not source:
        return tag("div", "?", class_="pa-thumb pa-none", aria_hidden="true")
    return f'<img class="pa-thumb" src="{source}" alt="{escape(scene.say("photos.alt", name=verdict.path.name))}">'


def _reason(code: str, scene: Scene) -> str:
    what, hint = scene.say(f"reason.{code}"), scene.say(f"reason.{code}.hint")
    return tag("li", tag("strong", escape(what)), " ", escape(hint), data_reason=code)


def _numbers(verdict: PhotoVerdict, scene: Scene) -> list[tuple[str, str]]:
    numbers = []
    if verdict.similarity is not None:
        numbers.append((scene.say("photos.similarity"), f"{verdict.similarity:.2f}"))
    if verdict.quality is not None:
        numbers.append((scene.say("photos.sharpness"), f"{verdict.quality.sharpness:.0f}"))
    if verdict.face is not None:
        numbers.append((scene.say("photos.face"), f"{verdict.face.width_px:.0f} px"))
    return numbers
