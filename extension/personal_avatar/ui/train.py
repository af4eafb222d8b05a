"""Panel "Train": what will be trained on what, how long it takes, and then how it goes."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import Likeness, Method, from_json
from personal_avatar.errors import AvatarError, ConsentMissing, NoCheckpoint, TooFewPhotos, WrongState
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.jobs.store import JobView
from personal_avatar.reports.svg import Chart, chart, smoothed
from personal_avatar.studio import TrainRequest
from personal_avatar.training.plan import PLANS
from personal_avatar.training.presets import preset_for
from personal_avatar.ui import photos
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import box, duration, error_box, facts, tag
from personal_avatar.ui.page import QUIET, Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.story import Told, thinned, told
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form

METHODS = {Method.LORA: "LoRA"}
SAMPLES = 8


def build(page: Page, tabs: gr.Tabs, about: list[Any]) -> None:
    """The panel, inside the current tab. `about`: the widgets of the photos' panel for name, noun and consent."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            _inputs(page, about)
        with gr.Column(scale=3, min_width=300):
            _outputs(page, tabs)


def _inputs(page: Page, about: list[Any]) -> None:
    page.show(gr.HTML(elem_id=elem_id("train_what")), lambda scene: {"value": _what(scene)})
    tiny = page.say(gr.Button(text("train.tiny"), visible=False, elem_id=elem_id("tiny")), value="train.tiny")
    page.show(tiny, lambda scene: {"visible": isinstance(scene.checkpoint, NoCheckpoint)})
    method = gr.Dropdown(
        list(METHODS.values()), value=METHODS[Method.LORA], label=text("train.method"), elem_id=elem_id("method")
    )
    page.say(method, label="train.method")
    form = Form(page, PLANS[Method.LORA], "plan", _preset)
    estimate = gr.HTML(elem_id=elem_id("estimate"))
    page.show(estimate, lambda scene: {"value": _estimate(scene, form.chosen(scene))})
    start = page.say(gr.Button(text("train.start"), variant="primary", elem_id=elem_id("start")), value="train.start")
    message = gr.HTML(elem_id=elem_id("train_message"))

    def begin(scene: Scene, *raw: Any) -> list[Any]:
        photos.note(scene, *raw[: len(about)])
        return _start(scene, form.values(scene, raw[len(about) :]))

    page.on(start.click, begin, [*about, *form.components], [], message)
    page.on(tiny.click, _install, [], [], message)


def _outputs(page: Page, tabs: gr.Tabs) -> None:
    page.show(gr.HTML(elem_id=elem_id("training")), lambda scene: {"value": _progress(scene)})
    with gr.Row():
        keep = page.say(gr.Button(text("train.cancel"), visible=False, elem_id=elem_id("cancel")), value="train.cancel")
        discard = page.say(
            gr.Button(text("train.discard"), visible=False, elem_id=elem_id("discard")), value="train.discard"
        )
        onward = page.say(
            gr.Button(text("train.onward"), variant="primary", visible=False, elem_id=elem_id("onward")),
            value="train.onward",
        )
    message = gr.HTML(elem_id=elem_id("cancel_message"))
    page.show(gr.HTML(elem_id=elem_id("curves")), lambda scene: {"value": _curves(scene)})
    shelf = Shelf(elem_id("samples"))
    page.show(shelf.component, lambda scene: {"value": _samples(scene, shelf)})
    folded = page.say(gr.Accordion(text("jobs.log"), open=False, elem_id=elem_id("train_log_box")), label="jobs.log")
    with folded:
        log = page.say(
            gr.Textbox(
                label=text("jobs.log"),
                lines=10,
                max_lines=10,
                interactive=False,
                show_label=False,
                elem_id=elem_id("train_log"),
                elem_classes="pa-log",
            ),
            label="jobs.log",
        )
    page.show(log, lambda scene: {"value": _log(scene)})
    page.show(keep, lambda scene: {"visible": _active(scene)})
    page.show(discard, lambda scene: {"visible": _active(scene)})
    page.show(onward, lambda scene: {"visible": _succeeded(scene)})
    page.on(keep.click, lambda scene: _cancel(scene, True), [], [], message)
    page.on(discard.click, lambda scene: _cancel(scene, False), [], [], message)
    onward.click(lambda: gr.Tabs.update(selected="create"), None, tabs, **QUIET)


def _preset(scene: Scene) -> dict[str, Any]:
    """Values that suit the loaded checkpoint."""
    base = scene.checkpoint
    return {} if isinstance(base, AvatarError) else preset_for(base, Method.LORA)


def _start(scene: Scene, plan: dict[str, Any]) -> list[Any]:
    draft = scene.desk.draft(scene.key)
    if scene.checking is not None:
        raise WrongState("The photos are still being checked.", "Wait until the check has ended.")
    if not draft.accepted:
        raise TooFewPhotos("No checked photos are there.", "Add photos in the panel Photos and check them.")
    if not draft.consent:
        raise ConsentMissing("Nobody stated that the person in the photos agreed.")
    scene.studio.train(
        TrainRequest(
            name=draft.name,
            photos=draft.accepted,
            class_noun=draft.class_noun,
            plan=plan,
            consent=scene.say("photos.consent"),
        )
    )
    return []


def _install(scene: Scene) -> list[Any]:
    scene.studio.install_tiny()
    return []


def _cancel(scene: Scene, keep: bool) -> list[Any]:
    view = scene.training
    if view is None:
        raise WrongState("No training is there to cancel.", "")
    scene.studio.queue.cancel(view.job.id, keep_checkpoint=keep)
    return []


def _what(scene: Scene) -> str:
    """Who is trained on what; what is missing for it."""
    base = scene.checkpoint
    if isinstance(base, AvatarError):
        return _who(scene) + error_box(base, scene.language)
    return _who(scene) + facts([(scene.say("train.checkpoint"), base.title)])


def _who(scene: Scene) -> str:
    draft = scene.draft
    if draft.report is None:
        return box("info", scene.say("train.nophotos"), scene.say("train.nophotos.info"))
    counted = scene.say("photos.summary", accepted=len(draft.accepted), total=len(draft.photos))
    person = f"{draft.name or '–'} ({draft.class_noun})"
    return facts([(scene.say("train.who"), person), (scene.say("tab.photos"), counted)])


def _estimate(scene: Scene, plan: dict[str, Any]) -> str:
    """Time, memory and size; empty without a checkpoint, the named problem of settings that cannot work."""
    if isinstance(scene.checkpoint, AvatarError):
        return ""
    try:
        found = scene.studio.estimate(len(scene.draft.accepted) or 10, plan)
    except AvatarError as error:
        return error_box(error, scene.language)
    pairs = [(scene.say("estimate.time"), duration(found.get("seconds"), scene.language))]
    for name, unit in (("memory_gb", "GB"), ("file_mb", "MB")):
        if found.get(name) is not None:
            pairs.append((scene.say(f"estimate.{name}"), f"{found[name]:.1f} {unit}"))
    if found.get("steps"):
        pairs.append((scene.say("plan.steps"), str(found["steps"])))
    return facts(pairs)


def _active(scene: Scene) -> bool:
    return scene.training is not None and scene.training.status.state in ACTIVE


def _succeeded(scene: Scene) -> bool:
    return scene.training is not None and scene.training.status.state is State.SUCCEEDED


def _told(scene: Scene) -> Told:
    return told(scene.studio.jobs.folder(scene.training.job.id)) if scene.training else Told()


def _progress(scene: Scene) -> str:
    view = scene.training
    if view is None:
        steps = "".join(tag("li", escape(scene.say(f"train.step.{number}"))) for number in (1, 2, 3))
        return tag("div", tag("h3", escape(scene.say("train.none"))), tag("ol", steps), class_="pa-empty")
    return progress_html(view, scene) + _done(view, scene)


def _done(view: JobView, scene: Scene) -> str:
    result = view.result or {}
    if view.status.state is not State.SUCCEEDED or not result:
        return ""
    ready = box("good", scene.say("train.done", name=view.job.title))
    return ready + _likeness(result.get("likeness"), scene) + facts(_made(result, scene))


def _made(result: dict[str, Any], scene: Scene) -> list[tuple[str, str]]:
    """Where the trained file lies, how a prompt uses it, how long it took."""
    pairs = []
    if result.get("checkpoints"):
        best = Path(result["checkpoints"][-1]["path"])
        trigger = result["checkpoints"][-1]["trigger"]
        pairs = [(scene.say("train.file"), str(best)), (scene.say("train.use"), f"<lora:{best.stem}:1> {trigger}")]
    return [*pairs, (scene.say("estimate.time"), duration(result.get("seconds"), scene.language))]


def _likeness(document: dict[str, Any] | None, scene: Scene) -> str:
    if not document or any(document.get(part) is None for part in ("floor", "after", "ceiling")):
        return ""
    found = from_json(Likeness, {part: document[part] for part in ("floor", "after", "ceiling")})
    return facts(
        [
            (scene.say("likeness.floor"), f"{found.floor:.2f}"),
            (scene.say("likeness.after"), f"{found.after:.2f}"),
            (scene.say("likeness.ceiling"), f"{found.ceiling:.2f}"),
            (scene.say("likeness.recovered"), f"{100 * found.recovered:.0f} %"),
        ]
    )


def _curves(scene: Scene) -> str:
    story = _told(scene)
    mean, each = thinned(smoothed(story.losses)), thinned(story.losses)
    losses = Chart(scene.say("chart.loss"), mean, background=each, x_label="")
    scores = Chart(scene.say("chart.likeness"), story.scores, marks=_marks(scene), dots=True, x_label="")
    figures = [_figure(wanted) for wanted in (losses, scores)]
    return tag("div", *figures, class_="pa-charts") if any(figures) else ""


def _marks(scene: Scene) -> list[tuple[str, float]]:
    """The best that can be reached, once it was measured."""
    result = (scene.training.result if scene.training else None) or {}
    ceiling = (result.get("likeness") or {}).get("ceiling")
    return [] if ceiling is None else [(scene.say("likeness.ceiling"), ceiling)]


def _figure(wanted: Chart) -> str:
    drawn = chart(wanted)
    return tag("figure", tag("figcaption", escape(wanted.title)), drawn, class_="pa-chart") if drawn else ""


def _samples(scene: Scene, shelf: Shelf) -> str:
    if scene.training is None:
        return ""
    made = [pair for pair in _told(scene).samples if pair[0].is_file()][-SAMPLES:]
    alt = scene.say("train.sample.alt")
    cards = [shelf.figure(path, alt, scene.say("train.sample", step=sample.step)) for path, sample in made]
    return tag("ul", *cards, class_="pa-gallery pa-small") if cards else ""


def _log(scene: Scene) -> str:
    view = scene.training
    if view is None:
        return ""
    sentences = "\n".join(_told(scene).sentences)
    return "\n".join(part for part in (sentences, scene.studio.jobs.log_tail(view.job.id, 4000)) if part)
