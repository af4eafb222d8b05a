"""How the making of portraits goes: progress, pictures as they come, the way to the results; for each such panel."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from personal_avatar.errors import WrongState
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import JobView
from personal_avatar.ui.clip_download import ClipDownload
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import QUIET, Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.wording import score

REMARKS = 6
ViewOf = Callable[[Scene], "JobView | None"]


def build(page: Page, tabs: gr.Tabs, name: str, view_of: ViewOf, before: Callable[[Scene], str]) -> None:
    """Inside the current block. `view_of`: the job to show; `before`: HTML for as long as there is none; `name` tells
    the panels apart."""

    message = gr.HTML(elem_id=elem_id(f"{name}_cancel_message"), render=False)
    clip = ClipDownload(page, name, message)

    def state(scene: Scene) -> State | None:
        view = view_of(scene)
        return view.status.state if view else None

    def progress(scene: Scene) -> dict[str, str]:
        view = view_of(scene)
        if view is None:
            return {"value": before(scene)}
        return {"value": progress_html(view, scene) + clip.remarks(scene.told(view).sentences[-REMARKS:], scene)}

    def end(scene: Scene) -> list[object]:
        view = view_of(scene)
        if view is None:
            raise Refusal(WrongState, "nojob")
        scene.studio.queue.cancel(view.job.id)
        return []

    page.show(gr.HTML(elem_id=elem_id(f"{name}_progress")), progress)
    with gr.Row():
        cancel = gr.Button(text("jobs.cancel"), visible=False, elem_id=elem_id(f"{name}_cancel"))
        onward = gr.Button(
            text("create.onward"), variant="primary", visible=False, elem_id=elem_id(f"{name}_to_results")
        )
    message.render()
    shelf = page.shelf(f"{name}_made")
    page.show(shelf.component, lambda scene: {"value": _made(view_of(scene), scene, shelf)})
    page.show(page.say(cancel, value="jobs.cancel"), lambda scene: {"visible": state(scene) in ACTIVE})
    page.show(page.say(onward, value="create.onward"), lambda scene: {"visible": state(scene) is State.SUCCEEDED})
    page.on(cancel.click, end, [], [], message)
    onward.click(lambda: gr.Tabs.update(selected="results"), None, tabs, **QUIET)


def _made(view: JobView | None, scene: Scene, shelf: Shelf) -> str:
    """Pictures of the job, newest first; in the order of likeness they are among the results."""
    if view is None:
        return ""
    made = [pair for pair in scene.told(view).samples if pair[0].is_file()]
    alt = scene.say("create.alt", name=scene.title(view))
    cards = [shelf.figure(path, alt, likeness_words(sample.likeness, scene)) for path, sample in reversed(made)]
    return tag("ul", *cards, class_="pa-gallery pa-small") if cards else ""


def likeness_words(likeness: float | None, scene: Scene) -> str:
    return scene.say("results.noface") if likeness is None else scene.say("results.likeness", value=score(likeness))
