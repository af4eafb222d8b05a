"""Panel "Create": an avatar, styles or a prompt, a number, and the pictures as they come."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from personal_avatar.domain import Style
from personal_avatar.errors import AvatarError, InvalidSettings, WrongState
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.portraits import CreateSettings
from personal_avatar.studio import CreateRequest
from personal_avatar.styles.library import categories, shipped
from personal_avatar.training.presets import is_tiny
from personal_avatar.ui import erase
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import box, tag
from personal_avatar.ui.page import QUIET, Page, elem_id
from personal_avatar.ui.people import choices, chosen_avatar
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import LANGUAGES, has, text
from personal_avatar.ui.widgets import Form, defaults_of

OWN = "own"
OPEN = ("professional", "photo")
TINY = "avatar-tiny"


def build(page: Page, tabs: gr.Tabs) -> None:
    """The panel, inside the current tab."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=3, min_width=300):
            _inputs(page)
        with gr.Column(scale=2, min_width=300):
            _outputs(page, tabs)


def _inputs(page: Page) -> None:
    avatar = page.say(gr.Dropdown([], label=text("create.avatar"), elem_id=elem_id("avatar")), label="create.avatar")
    page.show(page.read("avatar", avatar), choices, watched=("choices",))
    groups = [_style_group(page, name, styles) for name, styles in categories(shipped()).items()]
    groups.append(_own_group(page))
    prompt = page.say(
        gr.Textbox(label=text("create.prompt"), info=text("create.prompt.info"), lines=2, elem_id=elem_id("prompt")),
        label="create.prompt",
        info="create.prompt.info",
    )
    negative = page.say(
        gr.Textbox(label=text("create.negative"), lines=1, elem_id=elem_id("negative")), label="create.negative"
    )
    form = Form(page, CreateSettings.__fields__.values(), "create")
    start = page.say(
        gr.Button(text("create.start"), variant="primary", elem_id=elem_id("generate")), value="create.start"
    )
    message = gr.HTML(elem_id=elem_id("create_message"))

    def generate(scene: Scene, who: str | None, wanted: str, unwanted: str, *rest: Any) -> list[Any]:
        chosen = [label for labels in rest[: len(groups)] for label in labels or []]
        settings = form.values(rest[len(groups) :], defaults_of(CreateSettings))
        return _generate(scene, who, wanted, unwanted, chosen, settings)

    erase.build(page, avatar)
    page.on(start.click, generate, [avatar, prompt, negative, *groups, *form.components], [], message)


def _outputs(page: Page, tabs: gr.Tabs) -> None:
    page.show(gr.HTML(elem_id=elem_id("creating")), lambda scene: {"value": _progress(scene)})
    with gr.Row():
        cancel = page.say(
            gr.Button(text("jobs.cancel"), visible=False, elem_id=elem_id("create_cancel")), value="jobs.cancel"
        )
        onward = page.say(
            gr.Button(text("create.onward"), variant="primary", visible=False, elem_id=elem_id("to_results")),
            value="create.onward",
        )
    message = gr.HTML(elem_id=elem_id("create_cancel_message"))
    shelf = Shelf(elem_id("created"))
    page.show(shelf.component, lambda scene: {"value": _made(scene, shelf)})
    page.show(cancel, lambda scene: {"visible": scene.creating is not None and scene.creating.status.state in ACTIVE})
    page.show(
        onward, lambda scene: {"visible": scene.creating is not None and scene.creating.status.state is State.SUCCEEDED}
    )
    page.on(cancel.click, _cancel, [], [], message)
    onward.click(lambda: gr.Tabs.update(selected="results"), None, tabs, **QUIET)


# -- styles


def style_name(style: Style, language: str) -> str:
    """A shipped style's name in a language; a style that the table does not know as it calls itself."""
    key = f"style.{style.id}"
    return text(key, language) if has(key) else style.name


def _opened(scene: Scene) -> tuple[str, ...]:
    """Categories that suit the loaded checkpoint."""
    base = scene.checkpoint
    return (TINY,) if not isinstance(base, AvatarError) and is_tiny(base) else OPEN


def _style_group(page: Page, name: str, styles: tuple[Style, ...]) -> Any:
    """One category: translated names; what is ticked stays ticked when the language changes."""
    key = f"category.{name}" if has(f"category.{name}") else "category.other"
    folded = gr.Accordion(text(key), open=name in OPEN, elem_id=elem_id(f"styles_{name}_box"))
    page.show(folded, lambda scene: {"open": name in _opened(scene)})
    with page.say(folded, label=key):
        group = gr.CheckboxGroup(
            [style_name(style, "en") for style in styles],
            label=text(key),
            show_label=False,
            elem_id=elem_id(f"styles_{name}"),
            elem_classes="pa-styles",
        )
    page.say(group, label=key)

    def follow(scene: Scene) -> dict[str, Any]:
        ticked = _ids(scene.values.get(f"styles_{name}") or [], styles)
        names = {style.id: style_name(style, scene.language) for style in styles}
        return {"choices": list(names.values()), "value": [names[style_id] for style_id in ticked]}

    return page.show(page.read(f"styles_{name}", group), follow, watched=("choices",))


def _own_group(page: Page) -> Any:
    folded = page.say(
        gr.Accordion(text("category.own"), open=False, visible=False, elem_id=elem_id("styles_own_box")),
        label="category.own",
    )
    with folded:
        group = gr.CheckboxGroup(
            [], label=text("category.own"), show_label=False, elem_id=elem_id("styles_own"), elem_classes="pa-styles"
        )
    page.show(folded, lambda scene: {"visible": bool(scene.studio.host.styles())})
    page.say(group, label="category.own")

    def follow(scene: Scene) -> dict[str, Any]:
        names = [style.name for style in scene.studio.host.styles()]
        return {"choices": names, "value": [name for name in scene.values.get("styles_own") or [] if name in names]}

    return page.show(page.read("styles_own", group), follow, watched=("choices",))


def _ids(labels: list[str], styles: tuple[Style, ...]) -> list[str]:
    """Ids of styles by their names in any language."""
    by_name = {style_name(style, language): style.id for language in LANGUAGES for style in styles}
    return [by_name[label] for label in labels if label in by_name]


# -- making


def _generate(
    scene: Scene, who: str | None, prompt: str, negative: str, chosen: list[str], settings: dict[str, Any]
) -> list[Any]:
    avatar = chosen_avatar(scene, who)
    styles = _ids(chosen, shipped()) + [style.id for style in scene.studio.host.styles() if style.name in chosen]
    if not styles and not prompt.strip():
        raise Refusal(InvalidSettings, "nostyle")
    scene.studio.create(CreateRequest(avatar.id, tuple(styles), prompt, negative, settings=settings))
    return []


def _cancel(scene: Scene) -> list[Any]:
    view = scene.creating
    if view is None:
        raise Refusal(WrongState, "nojob")
    scene.studio.queue.cancel(view.job.id)
    return []


def _progress(scene: Scene) -> str:
    view = scene.creating
    if view is not None:
        return progress_html(view, scene)
    if not scene.avatars:
        return box("info", scene.say("create.noavatar"), scene.say("create.noavatar.info"))
    return tag(
        "div",
        tag("h3", escape(scene.say("create.none"))),
        tag("p", escape(scene.say("create.none.info"))),
        class_="pa-empty",
    )


def _made(scene: Scene, shelf: Shelf) -> str:
    """Pictures of the job, newest first; in the order of likeness they are among the results."""
    view = scene.creating
    if view is None:
        return ""
    made = [pair for pair in scene.told(view).samples if pair[0].is_file()]
    cards = [
        shelf.figure(path, scene.say("create.alt", name=view.job.title), likeness_words(sample.likeness, scene))
        for path, sample in reversed(made)
    ]
    return tag("ul", *cards, class_="pa-gallery pa-small") if cards else ""


def likeness_words(likeness: float | None, scene: Scene) -> str:
    return scene.say("results.noface") if likeness is None else scene.say("results.likeness", value=f"{likeness:.2f}")
