"""The whole tab: a header, a strip with what goes on, and the panels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import gradio as gr

from personal_avatar.studio import Studio
from personal_avatar.ui import create, invent, jobs, one_photo, photos, ranking, results, train
from personal_avatar.ui.live import status_html
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, SendTo, elem_id
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text


def build(
    studio: Studio, *, send_to: SendTo | None = None, theme: gr.themes.Base | None = None,
    notice: Callable[[str], str] = lambda language: "",
) -> gr.Blocks:
    """The tab as gradio blocks, to be rendered inside a host's page or to be a page of its own.

    `send_to`: where the page around has tabs that can take a picture and its parameters. `notice`: what is wrong with
    the installation, in a language; "" when nothing is.
    Folders of this machine can be named where the host lets callers do so (`Folders.callers_name_folders`).
    """
    with (
        gr.Blocks(analytics_enabled=False, title="Personal Avatar", theme=theme) as blocks,
        gr.Column(elem_id=elem_id("root")),
    ):
        page = Page(studio, send_to=send_to)
        page.desk.sweep()
        with gr.Row(elem_classes="pa-header"):
            page.show(gr.HTML(elem_id=elem_id("header")), partial(_header, notice))
            page.language.render()
        page.key.render()
        page.touched.render()
        page.heard.render()
        page.show(gr.HTML(elem_id=elem_id("status")), lambda scene: {"value": status_html(scene)})
        refresh = gr.Button(visible=False, elem_id=elem_id("refresh"))
        _panels(page)
        page.connect(blocks, refresh)
    return blocks


def _panels(page: Page) -> None:
    with page.keep(gr.Tabs(elem_id=elem_id("panels"))) as tabs:
        with _panel(page, "photos"):
            about = photos.build(page, tabs)
        with _panel(page, "train"):
            train.build(page, tabs, about)
        with _panel(page, "create"):
            create.build(page, tabs)
        with _panel(page, "one_photo"):
            one_photo.build(page, tabs)
        with _panel(page, "invent"):
            invent.build(page, tabs, about)
        with _panel(page, "results"):
            run = results.build(page)
        with _panel(page, "rank"):
            ranking.build(page)
        with _panel(page, "jobs"):
            jobs.build(page, tabs, run)


def _panel(page: Page, name: str) -> gr.TabItem:
    return page.keep(gr.TabItem(text(f"tab.{name}"), id=name, elem_id=elem_id(f"panel_{name}")))


def _header(notice: Callable[[str], str], scene: Scene) -> dict[str, str]:
    said = notice(scene.language)
    warning = box("warn", said) if said else ""
    return {"value": tag("h2", "Personal Avatar") + tag("p", scene.say("page.tagline")) + warning}
