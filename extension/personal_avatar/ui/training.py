"""Right half of the panel "Train": how the training goes, its curves, pictures and log; its end is in outcome.py."""

from __future__ import annotations

from html import escape

import gradio as gr

from personal_avatar.reports.svg import Chart, chart, smoothed
from personal_avatar.ui import wishes
from personal_avatar.ui.comparison import comparison_html
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import tag
from personal_avatar.ui.outcome import made_something, outcome_html
from personal_avatar.ui.page import QUIET, Page, elem_id
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.remarks import remark
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.story import Told, thinned
from personal_avatar.ui.texts import text

SAMPLES = 8


def build(page: Page, tabs: gr.Tabs) -> None:
    """The right half of the panel, inside the current column."""
    papers = page.shelf("training")
    page.show(papers.component, lambda scene: {"value": _progress(scene, papers)})
    with gr.Row():
        onward = page.say(
            gr.Button(text("train.onward"), variant="primary", visible=False, elem_id=elem_id("onward")),
            value="train.onward",
        )
    message = gr.HTML(elem_id=elem_id("cancel_message"))
    page.show(gr.HTML(elem_id=elem_id("curves")), lambda scene: {"value": _curves(scene)})
    shelf = page.shelf("samples")
    page.show(shelf.component, lambda scene: {"value": _samples(scene, shelf)})
    table = page.shelf("comparison")
    page.show(table.component, lambda scene: {"value": comparison_html(scene, table)})
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
    page.show(onward, lambda scene: {"visible": scene.training is not None and made_something(scene.training)})
    wishes.build(page, "train", message)
    onward.click(lambda: gr.Tabs.update(selected="create"), None, tabs, **QUIET)


def _told(scene: Scene) -> Told:
    return scene.told(scene.training) if scene.training else Told()


def _progress(scene: Scene, papers: Shelf) -> str:
    view = scene.training
    if view is None:
        steps = "".join(tag("li", escape(scene.say(f"train.step.{number}"))) for number in (1, 2, 3))
        return tag("div", tag("h3", escape(scene.say("train.none"))), tag("ol", steps), class_="pa-empty")
    return progress_html(view, scene) + wishes.row(view, scene, "train") + outcome_html(view, scene, papers)


def _curves(scene: Scene) -> str:
    story = _told(scene)
    mean, each = thinned(smoothed(story.losses)), thinned(story.losses)
    losses = Chart(scene.say("chart.loss"), mean, background=each, x_label="", language=scene.language)
    likeness = scene.say("chart.likeness")
    scores = Chart(likeness, story.scores, _marks(scene), dots=True, x_label="", language=scene.language)
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
    sentences = "\n".join(remark(sentence, scene) for sentence in _told(scene).sentences)
    return "\n".join(part for part in (sentences, scene.studio.jobs.log_tail(view.job.id, 4000)) if part)
