"""Part of the panel "Train": what the last press of a button that starts came to, while the panel shows another
training, or the one that stands in its way."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from personal_avatar.errors import WrongState
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import Job
from personal_avatar.ui.live import headline
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.scene import Scene

NAME = "begun"
STARTED, REFUSED = "started", "refused"


def build(page: Page) -> gr.Textbox:
    """Inside the current block; what keeps, with the page, which job `noted` told of."""
    page.show(gr.HTML(elem_id=elem_id("train_begun")), lambda scene: {"value": told_html(scene)})
    return page.read(NAME, gr.Textbox("", visible=False, elem_id=elem_id(NAME)))


def noted(start: Callable[[], Job]) -> str:
    """Start a training; what the page keeps of it. A second one of the same person is not started; what else speaks
    against it is raised."""
    try:
        return f"{STARTED} {start().id}"
    except WrongState as error:
        if "job_id" not in error.details:
            raise
        return f"{REFUSED} {error.details['job_id']}"


def told_html(scene: Scene) -> str:
    """Empty once the job has ended, and of one that begins and that the panel shows anyway. Of a second start what is
    so until then, also while the first one rests."""
    what, _, job_id = str(scene.values.get(NAME) or "").partition(" ")
    view, shown = scene.view(job_id), scene.training
    if view is None or view.status.state not in ACTIVE:
        return ""
    if what == REFUSED:
        said = box("info", scene.say("begun.second", name=view.job.title, job=view.job.id[:8]))
        return tag("div", said, class_="pa-answer")
    if shown is not None and shown.job.id == job_id:
        return ""
    return box("info", scene.title(view), headline(view, scene))
