"""Panel "Jobs": everything that was started, with its state, and the end of its log."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from personal_avatar.errors import WrongState
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import JobView
from personal_avatar.studio.works import TRAIN
from personal_avatar.ui import wishes
from personal_avatar.ui.comparison import comparison_of
from personal_avatar.ui.gallery_choice import run_label
from personal_avatar.ui.live import bar, failure_html, headline, state_badge
from personal_avatar.ui.markup import box, clock, facts, tag
from personal_avatar.ui.outcome import made_something, outcome_html
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.presses import TAKE
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene, has_pictures
from personal_avatar.ui.texts import text


def build(page: Page, tabs: gr.Tabs, run: Any) -> None:
    """The panel, inside the current tab. Buttons in the list press hidden ones, which our script hands the job's id.
    `run`: the widget of the panel "Results" that says whose pictures are shown."""
    message = gr.HTML(elem_id=elem_id("jobs_message"))
    erased = gr.HTML(elem_id=elem_id("job_erased"))
    papers = page.shelf("jobs")
    page.show(papers.component, lambda scene: {"value": jobs_html(scene, papers)})
    chosen = page.read("log_of", gr.Textbox("", visible=False, elem_id=elem_id("log_of")))
    log = page.say(
        gr.Textbox(
            label=text("jobs.log"),
            lines=14,
            max_lines=14,
            interactive=False,
            visible=False,
            elem_id=elem_id("job_log"),
            elem_classes="pa-log",
            show_copy_button=True,
        ),
        label="jobs.log",
    )
    page.show(log, _log)
    wishes.build(page, "jobs", message)
    hidden = gr.Button(visible=False, elem_id=elem_id("press_log"))
    page.on(hidden.click, _open_log, [chosen], [chosen], message, script=TAKE)
    hidden = gr.Button(visible=False, elem_id=elem_id("press_erase_job"))

    def erase(scene: Scene, job_id: str) -> list[Any]:
        told = _erase(scene, job_id)
        page.held.drop()
        return told

    page.on(hidden.click, erase, [chosen], [chosen, erased], message, script=TAKE)
    hidden = gr.Button(visible=False, elem_id=elem_id("press_pictures"))
    page.on(hidden.click, _show_pictures, [chosen], [chosen, run, tabs], message, script=TAKE)


def _open_log(scene: Scene, job_id: str) -> list[Any]:
    scene.studio.jobs.folder(job_id)
    return [job_id]


def _show_pictures(scene: Scene, job_id: str) -> list[Any]:
    view = scene.studio.jobs.view(job_id)
    return [gr.update(), run_label(view, scene), gr.Tabs.update(selected="results")]


def _erase(scene: Scene, job_id: str) -> list[Any]:
    """The button was pressed below the question (`_erasing`)."""
    view = scene.studio.jobs.view(job_id)
    if view.job.kind == TRAIN and not _is_untrained(view, scene):
        raise Refusal(WrongState, "erasetraining")
    studio = scene.studio
    told = studio.delete_avatar(view.job.avatar_id) if view.job.kind == TRAIN else studio.gallery.erase(job_id)
    left = told["left"]
    return ["", box("good", scene.say("erase.done", name=_title(view, scene)), ", ".join(left))]


def _log(scene: Scene) -> dict[str, Any]:
    view = scene.view(scene.values.get("log_of") or "")
    if view is None:
        return {"visible": False, "value": ""}
    return {"visible": True, "value": scene.studio.jobs.log_tail(view.job.id) or scene.say("jobs.nolog")}


def jobs_html(scene: Scene, papers: Shelf) -> str:
    """The list, newest first. `papers`: serves the reports of trainings, and pictures of comparisons."""
    if not scene.views:
        return tag(
            "div",
            tag("h3", escape(scene.say("jobs.none"))),
            tag("p", escape(scene.say("jobs.none.info"))),
            class_="pa-empty",
        )
    rows = "".join(_row(view, scene, papers) for view in scene.views)
    more = scene.studio.jobs.count() - len(scene.views)
    return tag("ul", rows, class_="pa-jobs") + (tag("p", escape(scene.say("jobs.more", n=more))) if more > 0 else "")


def _row(view: JobView, scene: Scene, papers: Shelf) -> str:
    active = view.status.state in ACTIVE
    head = tag("div", state_badge(view, scene), tag("strong", escape(_title(view, scene))), class_="pa-head")
    drawn = bar(view, scene) if view.status.state in (State.RUNNING, State.PAUSED) else ""
    line = tag("p", escape(headline(view, scene))) if active else ""
    return tag(
        "li",
        head,
        line,
        drawn,
        _times(view, scene),
        failure_html(view, scene),
        _outcome(view, scene, papers),
        _comparison(view, scene, papers),
        _buttons(view, scene),
        "" if active else _erasing(view, scene),
        class_="pa-job",
        data_job=view.job.id,
    )


def _outcome(view: JobView, scene: Scene, papers: Shelf) -> str:
    """What a training made: the panel "Train" shows that of one training alone."""
    if view.job.kind != TRAIN or not made_something(view):
        return ""
    return _folded(view, "outcome", "jobs.outcome", scene, outcome_html(view, scene, papers))


def _comparison(view: JobView, scene: Scene, papers: Shelf) -> str:
    """What other methods made of the same photos: the panel "Train" shows that of one person alone."""
    told = "" if view.status.state in ACTIVE else comparison_of(view, scene, papers)
    return _folded(view, "comparison", "compare.title", scene, told) if told else ""


def _title(view: JobView, scene: Scene) -> str:
    return " · ".join(dict.fromkeys((scene.say(f"kind.{view.job.kind}"), scene.title(view))))


def _times(view: JobView, scene: Scene) -> str:
    pairs = [(scene.say("jobs.created"), clock(view.job.created_at)), (scene.say("jobs.id"), view.job.id[:8])]
    if view.status.ended_at:
        pairs.insert(1, (scene.say("jobs.ended"), clock(view.status.ended_at)))
    if view.status.restarts:
        pairs.append((scene.say("jobs.restarts"), str(view.status.restarts)))
    if view.priority:
        pairs.append((scene.say("jobs.priority"), str(view.priority)))
    return facts(pairs)


def _buttons(view: JobView, scene: Scene) -> str:
    pictures = [_button(view, "pictures", "create.onward", scene)] if has_pictures(view) else []
    log = _button(view, "log", "jobs.showlog", scene)
    return tag("div", *wishes.buttons(view, scene, "jobs"), *pictures, log, class_="pa-buttons")


def _erasing(view: JobView, scene: Scene) -> str:
    """What would be erased, and below it the button that does it; a training goes with its avatar alone."""
    if view.job.kind != TRAIN:
        key = "jobs.erase.info"
    else:
        key = "jobs.erase.untrained" if _is_untrained(view, scene) else "jobs.erase.training"
    told = tag("p", escape(scene.say(key)), class_="pa-note")
    button = _button(view, "erase_job", "erase.button", scene)
    press = "" if key == "jobs.erase.training" else tag("div", button, class_="pa-buttons")
    return _folded(view, "erase", "jobs.erase", scene, told, press)


def _folded(view: JobView, part: str, key: str, scene: Scene, *inner: str) -> str:
    """Behind a line that is known by its id, so that the focus stays there when the list is made anew."""
    dom_id = f"pa-{part}-{view.job.id}"
    line = tag("summary", escape(scene.say(key)), id=f"{dom_id}-line")
    return tag("details", line, *inner, id=dom_id)


def _is_untrained(view: JobView, scene: Scene) -> bool:
    """Whether the job's avatar is in no list of the page, as no training of it came to anything."""
    return view.job.avatar_id in scene.never_trained


def _button(view: JobView, action: str, key: str, scene: Scene) -> str:
    words = scene.say(key)
    label = f"{words}: {scene.title(view)}"
    return tag(
        "button",
        escape(words),
        type="button",
        id=f"pa-{action}-{view.job.id}",
        aria_label=label,
        data_pa_press=elem_id(f"press_{action}"),
        data_pa_value=view.job.id,
        class_="pa-button",
    )
