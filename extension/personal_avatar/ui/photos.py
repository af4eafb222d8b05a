"""Panel "Photos": lay out the photos of one person, have them checked, see a verdict and a reason for each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import PhotoVerdict
from personal_avatar.photos.advice import advice_text, advise
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.ui.markup import badge, box, facts, progress_bar, stored_error_box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.thumbs import thumbnail

NOUNS = ("person", "woman", "man", "girl", "boy", "cat", "dog")


def build(page: Page, tabs: gr.Tabs) -> None:
    """The panel, inside the current tab."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            widgets = _inputs(page)
        with gr.Column(scale=3, min_width=300):
            page.show(gr.HTML(elem_id=elem_id("report")), _report)
            proceed = page.say(
                gr.Button(text("photos.proceed"), variant="primary", visible=False, elem_id=elem_id("proceed")),
                value="photos.proceed",
            )
            page.show(proceed, lambda scene: {"visible": bool(scene.draft.accepted) and scene.checking is None})
            proceed.click(lambda: gr.Tabs.update(selected="train"), None, tabs, queue=False, api_name=False)
    files, folder, name, noun, consent, check, clear, message = widgets
    page.on(check.click, _check, [files, folder, name, noun, consent], [files], message)
    page.on(clear.click, _clear, [], [files, folder, name, consent], message)


def _inputs(page: Page) -> tuple[Any, ...]:
    files = page.say(
        gr.File(file_count="multiple", label=text("photos.files"), elem_id=elem_id("files"), height=150),
        label="photos.files",
    )
    folder = page.say(
        gr.Textbox(
            label=text("photos.folder"), info=text("photos.folder.info"), max_lines=1, elem_id=elem_id("folder")
        ),
        label="photos.folder",
        info="photos.folder.info",
    )
    with gr.Row():
        name = page.say(
            gr.Textbox(label=text("photos.name"), max_lines=1, min_width=140, elem_id=elem_id("name")),
            label="photos.name",
        )
        noun = page.say(
            gr.Dropdown(
                list(NOUNS),
                value="person",
                allow_custom_value=True,
                label=text("photos.noun"),
                min_width=140,
                elem_id=elem_id("noun"),
            ),
            label="photos.noun",
        )
    consent = page.say(
        gr.Checkbox(False, label=text("photos.consent"), elem_id=elem_id("consent")), label="photos.consent"
    )
    page.show(name, lambda scene: {"value": scene.draft.name})
    page.show(noun, lambda scene: {"value": scene.draft.class_noun})
    page.show(consent, lambda scene: {"value": scene.draft.consent})
    with gr.Row():
        check = page.say(
            gr.Button(text("photos.check"), variant="primary", elem_id=elem_id("check")), value="photos.check"
        )
        clear = page.say(gr.Button(text("photos.clear"), elem_id=elem_id("clear")), value="photos.clear")
    message = gr.HTML(elem_id=elem_id("photos_message"))
    return files, folder, name, noun, consent, check, clear, message


def _check(scene: Scene, files: list[Any] | None, folder: str, name: str, noun: str, consent: bool) -> list[Any]:
    draft = replace(scene.draft, name=name.strip(), class_noun=(noun or "person").strip(), consent=bool(consent))
    scene.desk.start_check(scene.key, draft, [Path(file.name) for file in files or []], folder)
    return [None]


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
    summary = box(kind, scene.say("photos.summary", accepted=accepted, total=total))
    advice = "".join(tag("li", escape(line)) for line in _advice(scene))
    cards = "".join(_card(verdict, scene) for verdict in draft.report.photos)
    return summary + (tag("ul", advice, class_="pa-advice") if advice else "") + tag("ul", cards, class_="pa-cards")


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
        for advice in advise(report.photos, PhotoSettings(), mixed)
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
