"""Panel "Create": an avatar, styles or a prompt, a number, and the pictures as they come."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.errors import InvalidSettings
from personal_avatar.studio import CreateRequest
from personal_avatar.studio.creating import CreateSettings
from personal_avatar.ui import erase, making, trained_files
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.people import agreed_html, choices, chosen_avatar, damaged_html
from personal_avatar.ui.photos import upload
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.styles import StylePicker
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form, defaults_of


def build(page: Page, tabs: gr.Tabs) -> None:
    """The panel, inside the current tab."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=3, min_width=300):
            _inputs(page)
        with gr.Column(scale=2, min_width=300):
            making.build(page, tabs, "create", lambda scene: scene.creating, _before)


def _inputs(page: Page) -> None:
    avatar = page.say(gr.Dropdown([], label=text("create.avatar"), elem_id=elem_id("avatar")), label="create.avatar")
    page.show(page.read("avatar", avatar), choices, watched=("choices",))
    page.show(gr.HTML(elem_id=elem_id("damaged")), lambda scene: {"value": damaged_html(scene)})
    file = trained_files.build(page)
    page.show(gr.HTML(elem_id=elem_id("agreed")), lambda scene: {"value": agreed_html(scene)})
    picker = StylePicker(page, "styles")
    prompt, negative = prompts(page)
    form = Form(page, CreateSettings.__fields__.values(), "create")
    pose = _pose(page)
    start = page.say(
        gr.Button(text("create.start"), variant="primary", elem_id=elem_id("generate")), value="create.start"
    )
    message = gr.HTML(elem_id=elem_id("create_message"))

    def generate(
        scene: Scene, who: str | None, by: str | None, wanted: str, unwanted: str, posed: Any, *rest: Any
    ) -> list[Any]:
        avatar = chosen_avatar(scene, who)
        styles = styled(scene, picker, rest, wanted)
        settings = form.values(rest[len(picker.components) :], defaults_of(CreateSettings))
        stance = Path(posed.name) if posed else None
        scene.studio.create(CreateRequest(
            avatar.id, styles, wanted, unwanted, settings=settings, pose=stance, file=trained_files.wanted(by)
        ))
        page.held.hold(scene.key, "create", [posed])
        return []

    erase.build(page, avatar)
    inputs = [avatar, file, prompt, negative, pose, *picker.components, *form.components]
    page.on(start.click, generate, inputs, [], message)


def _pose(page: Page) -> Any:
    """A picture whose pose is followed; in sight where the host can do that."""
    with gr.Column(visible=False, elem_id=elem_id("pose_box")) as column:
        pose = upload(page, "pose", "create.pose", several=False, height=110)
    page.show(column, lambda scene: {"visible": not scene.pose_problem})
    return pose


def prompts(page: Page, name: str = "") -> tuple[Any, Any]:
    """Own prompt and negative prompt; `name` begins their ids."""
    prompt = gr.Textbox(
        label=text("create.prompt"), info=text("create.prompt.info"), lines=2, elem_id=elem_id(f"{name}prompt")
    )
    page.say(prompt, label="create.prompt", info="create.prompt.info")
    negative = gr.Textbox(label=text("create.negative"), lines=1, elem_id=elem_id(f"{name}negative"))
    return prompt, page.say(negative, label="create.negative")


def styled(scene: Scene, picker: StylePicker, raw: Sequence[Any], prompt: str) -> tuple[str, ...]:
    """The ticked styles, of values that begin with the picker's; raises when there is no prompt either."""
    styles = picker.chosen(scene, raw[: len(picker.components)])
    if not styles and not prompt.strip():
        raise Refusal(InvalidSettings, "nostyle")
    return styles


def _before(scene: Scene) -> str:
    if not scene.avatars:
        return box("info", scene.say("create.noavatar"), scene.say("create.noavatar.info"))
    title, words = tag("h3", escape(scene.say("create.none"))), tag("p", escape(scene.say("create.none.info")))
    return tag("div", title, words, class_="pa-empty")
