"""Panel "Invent": a character that does not exist, from a description to photos that can be trained on."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import CLASS_NOUNS, Portrait, from_json
from personal_avatar.errors import InvalidSettings, WrongState
from personal_avatar.jobs.events import SampleMade
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import JobView
from personal_avatar.studio.inventing import LONGEST, InventRequest, InventSettings
from personal_avatar.ui import judging, making
from personal_avatar.ui.about import About, class_noun
from personal_avatar.ui.live import progress_html
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.people import avatars_by_label
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import text
from personal_avatar.ui.widgets import Form, defaults_of
from personal_avatar.wording import score

DEFAULTS = defaults_of(InventSettings)
OWN_FIELDS = ("count", "keep", "seed")  # of a request, beside its other settings


def build(page: Page, tabs: gr.Tabs, about: About) -> None:
    """The panel, inside the current tab. `about`: the widgets of the photos' panel for name, noun and consent."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=2, min_width=300):
            _inputs(page)
        with gr.Column(scale=3, min_width=300):
            _outcome(page, tabs, about)


# -- what is wanted


def _inputs(page: Page) -> None:
    description = gr.Textbox(
        label=text("invent.description"), info=text("invent.description.info"), lines=3, max_lines=6,
        placeholder=text("invent.example"), elem_id=elem_id("invent_description"),
    )
    page.say(
        description, label="invent.description", info="invent.description.info", placeholder="invent.example"
    )
    noun = class_noun(page, "invent_noun")
    avatar = gr.Dropdown(
        [], label=text("invent.avatar"), info=text("invent.avatar.info"), elem_id=elem_id("invent_avatar")
    )
    page.say(page.read("invent_avatar", avatar), label="invent.avatar", info="invent.avatar.info")
    page.show(avatar, _avatars, watched=("choices",))
    page.show(noun, lambda scene: {"visible": _avatar_of(scene) == ""})
    form = Form(page, InventSettings.__fields__.values(), "invent_set")
    start = gr.Button(text("invent.start"), variant="primary", elem_id=elem_id("invent_start"))
    message = gr.HTML(elem_id=elem_id("invent_message"))

    def begin(scene: Scene, words: str, who: str | None, kind: str, *raw: Any) -> list[Any]:
        scene.values["invent_avatar"] = who
        scene.studio.invention.start(_request(scene, words, kind, form.values(raw, DEFAULTS)))
        return []

    page.say(start, value="invent.start")
    page.on(start.click, begin, [description, avatar, noun, *form.components], [], message)


def _avatars(scene: Scene) -> dict[str, Any]:
    """A new character, and whoever was trained; who was chosen stays chosen while there."""
    nobody, names = scene.say("invent.nobody"), list(avatars_by_label(scene))
    chosen = scene.values.get("invent_avatar")
    return {"choices": [nobody, *names], "value": chosen if chosen in names else nobody}


def _avatar_of(scene: Scene) -> str:
    """The id of the avatar that was chosen; empty for a new character."""
    avatar = avatars_by_label(scene).get(scene.values.get("invent_avatar") or "")
    return avatar.id if avatar else ""


def _request(scene: Scene, words: str, noun: str, settings: dict[str, Any]) -> InventRequest:
    """Raises what the page itself refuses."""
    avatar_id = _avatar_of(scene)
    if not avatar_id and not words.strip():
        raise Refusal(InvalidSettings, "nodescription")
    own = {name: settings.pop(name) for name in OWN_FIELDS if name in settings}
    return InventRequest(
        description=words[: LONGEST + 1], class_noun=(noun or CLASS_NOUNS[0]).strip(), avatar_id=avatar_id,
        settings=settings, **own,
    )


# -- what comes of it


def _outcome(page: Page, tabs: gr.Tabs, about: About) -> None:
    page.show(gr.HTML(elem_id=elem_id("invent_progress")), lambda scene: {"value": _progress(scene)})
    kept, all_made = page.shelf("invent_kept"), page.shelf("invent_made")
    page.show(kept.component, lambda scene: {"value": _kept(scene, kept)})
    with gr.Row():
        cancel = gr.Button(text("jobs.cancel"), visible=False, elem_id=elem_id("invent_cancel"))
        use = gr.Button(text("invent.use"), variant="primary", visible=False, elem_id=elem_id("invent_use"))
    page.say(cancel, value="jobs.cancel")
    page.say(use, value="invent.use")
    page.show(cancel, lambda scene: {"visible": _active(scene)})
    page.show(use, lambda scene: {"visible": bool(_images(scene.inventing))})
    message = gr.HTML(elem_id=elem_id("invent_use_message"))
    page.show(all_made.component, lambda scene: {"value": _made(scene, all_made)})
    page.on(cancel.click, _cancel, [], [], message)
    page.on(use.click, _use, [], [tabs, *about.components], message)


def _active(scene: Scene) -> bool:
    return scene.inventing is not None and scene.inventing.status.state in ACTIVE


def _images(view: JobView | None) -> list[dict[str, Any]]:
    return list((view.result or {}).get("images", [])) if view else []


def _progress(scene: Scene) -> str:
    view = scene.inventing
    if view is None:
        lines = "".join(tag("li", escape(scene.say(f"invent.tip.{number}"))) for number in (1, 2, 3))
        return tag("div", tag("h3", escape(scene.say("invent.none"))), tag("ul", lines), class_="pa-empty")
    return progress_html(view, scene) + _sentence(view, scene)


def _sentence(view: JobView, scene: Scene) -> str:
    """How consistent the character is, and by how much before the next best."""
    result = view.result or {}
    if not _images(view):
        return ""
    words = scene.say(
        "invent.kept", kept=len(result["images"]), made=result["made"], similarity=score(result['similarity'])
    )
    if result["runner_up"] is not None:
        words += " " + scene.say("invent.runner_up", similarity=score(result['runner_up']))
    note = tag("p", escape(scene.say("invent.use.info")), class_="pa-note")
    return tag("p", escape(words), class_="pa-sentence") + note


def _kept(scene: Scene, shelf: Shelf) -> str:
    """The pictures that show the character, the most typical first."""
    portraits = [from_json(Portrait, data) for data in _images(scene.inventing)]
    cards = []
    for place, portrait in enumerate(portraits, start=1):
        if portrait.path.is_file():
            likeness = making.likeness_words(portrait.likeness, scene)
            alt = scene.say("invent.alt", place=place, likeness=likeness)
            cards.append(shelf.figure(portrait.path, alt, f"{place}. {likeness}"))
    return tag("ul", *cards, class_="pa-gallery pa-small") if cards else ""


def _made(scene: Scene, shelf: Shelf) -> str:
    """All candidates, newest first: in sight while they are made, folded away when some have been kept."""
    view = scene.inventing
    if view is None:
        return ""
    made = [(path, sample) for path, sample in scene.told(view).samples if path.is_file()]
    known = bool(view.job.avatar_id)
    cards = [_candidate(path, sample, known, scene, shelf) for path, sample in reversed(made)]
    gallery = tag("ul", *cards, class_="pa-gallery pa-small") if cards else ""
    if not gallery or not _images(view):
        return gallery
    return tag("details", tag("summary", escape(scene.say("invent.all", n=len(cards)))), gallery)


def _candidate(path: Path, sample: SampleMade, known: bool, scene: Scene, shelf: Shelf) -> str:
    """`known`: likeness is to an avatar, not to the most alike of those before."""
    if sample.likeness is None:
        words = scene.say("invent.unfit")
    elif known:
        words = making.likeness_words(sample.likeness, scene)
    elif sample.likeness == 0:
        words = scene.say("invent.first")
    else:
        words = scene.say("invent.nearest", value=score(sample.likeness))
    return shelf.figure(path, scene.say("invent.candidate", place=sample.step + 1), words)


def _cancel(scene: Scene) -> list[Any]:
    if scene.inventing is None:
        raise Refusal(WrongState, "nojob")
    scene.studio.queue.cancel(scene.inventing.job.id)
    return []


def _use(scene: Scene) -> list[Any]:
    """Lay the pictures out as photos, in place of what lies there, and go there."""
    view = scene.inventing
    if view is None or not _images(view):
        raise Refusal(WrongState, "nocharacter")
    if scene.checking is not None:
        raise Refusal(WrongState, "checking")
    photos = scene.studio.invention.photos(view.job.id)
    name, noun = view.job.title if view.job.avatar_id else "", str(view.job.payload["class_noun"])
    about = {"name": name, "class_noun": noun, "consent": False}
    judging.lay_out(scene.desk, scene.key, list(photos), "", instead=about)
    return [gr.Tabs.update(selected="photos"), name, noun, False]
