"""Panel "One photo": whoever is in some photos, without training, in new pictures or in the user's own one restyled."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import gradio as gr

from personal_avatar.domain import CLASS_NOUNS
from personal_avatar.errors import BadInput, ConsentMissing, InvalidSettings, TooFewPhotos
from personal_avatar.identities import IdentitySettings
from personal_avatar.studio import CreateRequest
from personal_avatar.studio.creating import CreateSettings
from personal_avatar.studio.oneshot import MAX_REFERENCES
from personal_avatar.ui import making, people, possible
from personal_avatar.ui.about import class_noun
from personal_avatar.ui.create import prompts, styled
from personal_avatar.ui.markup import tag
from personal_avatar.ui.page import Page, elem_id
from personal_avatar.ui.photos import upload
from personal_avatar.ui.refusal import Refusal
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.second import LAYOUT, Beside, SecondPerson
from personal_avatar.ui.styles import StylePicker
from personal_avatar.ui.texts import DEFAULT, text
from personal_avatar.ui.thumbs import thumbnail
from personal_avatar.ui.widgets import Form, said

NEW, RESTYLE = "new", "restyle"
KEYPOINTS = "one_set_keypoints"
OTHERWISE = ("enabled", "references", "avatar", "keypoints_image", "layout", "people", "restore")
IDENTITY = {name: field for name, field in IdentitySettings.__fields__.items() if name not in OTHERWISE}
MAKING = {name: field for name, field in CreateSettings.__fields__.items() if name not in IDENTITY}
DEFAULTS = {name: field.default for name, field in {**IDENTITY, **MAKING}.items()}
FOLDED = ("start", "end", "second_pass", "restore")  # not in sight here, though they are not marked as advanced


@dataclass(frozen=True)
class Given:
    """What the panel's widgets hold, in the order of its inputs; files as gradio gives them."""

    files: Any
    avatar: str | None
    noun: str
    consent: bool
    wish: str
    photo: Any
    strength: float
    prompt: str
    negative: str
    pose: Any

    @property
    def references(self) -> tuple[Path, ...]:
        return tuple(Path(file.name) for file in self.files or [])

    @property
    def image(self) -> Path | None:
        """What is painted anew: the photo that was chosen for it, else the first one of the person."""
        if self.wish != RESTYLE:
            return None
        return path_of(self.photo) or next(iter(self.references), None)


def path_of(file: Any) -> Path | None:
    return Path(file.name) if file is not None else None


def build(page: Page, tabs: gr.Tabs) -> None:
    """The panel, inside the current tab."""
    with gr.Row(elem_classes="pa-panel"):
        with gr.Column(scale=3, min_width=300):
            method = _inputs(page)
        with gr.Column(scale=2, min_width=300):
            possible.build(page, method)
            making.build(page, tabs, "one", lambda scene: scene.restyling, _before)


def _inputs(page: Page) -> Any:
    """What the user gives; returns the widget of the method."""
    simple = [*_who(page), *_wish(page)]
    picker = StylePicker(page, "one_styles", opened=())
    simple += prompts(page, "one_")
    form = Form(page, [*IDENTITY.values(), *MAKING.values()], "one_set", FOLDED)
    method, keypoints = (form.components[form.fields.index(IDENTITY[name])] for name in ("method", "keypoints"))
    page.read(possible.METHOD, method)
    page.read(KEYPOINTS, keypoints)
    simple.append(upload(page, "one_pose", "identity.keypoints_image", several=False, height=110))
    page.show(simple[-1], lambda scene: {"visible": _follows_a_picture(scene)})
    second = SecondPerson(page)
    start = gr.Button(text("create.start"), variant="primary", elem_id=elem_id("one_start"))
    message = gr.HTML(elem_id=elem_id("one_message"))

    def begin(scene: Scene, *raw: Any) -> list[Any]:
        rest = iter(raw)
        given, styles, others, settings = (list(islice(rest, len(part))) for part in parts)
        scene.values.update(zip([f"one_set_{field.name}" for field in form.fields], settings, strict=True))
        wish, beside = Given(*given), second.chosen(others)
        scene.values[LAYOUT] = beside.layout
        _refuse(scene, wish, beside)
        chosen = styled(scene, picker, styles, wish.prompt)
        scene.studio.create(_request(scene, wish, chosen, beside, form.values(settings, DEFAULTS)))
        page.held.hold(scene.key, "one_photo", [*(wish.files or []), wish.photo, wish.pose, *(others[0] or [])])
        return []

    page.say(start, value="create.start")
    parts = [simple, picker.components, second.components, form.components]
    page.on(start.click, begin, [component for part in parts for component in part], [], message)
    return method


def _follows_a_picture(scene: Scene) -> bool:
    """Whether a picture with the pose is of use: it was chosen, or its faces say who is where."""
    return scene.values.get(KEYPOINTS) == "image" or scene.values.get(LAYOUT) == "left-to-right"


# -- the person, and what to make


def _who(page: Page) -> list[Any]:
    files = upload(page, "one_files", "one.photos", height=130)
    shown = gr.HTML(elem_id=elem_id("one_shown"))
    with gr.Row():
        avatar = gr.Dropdown(
            [], label=text("one.avatar"), info=text("one.avatar.info"), min_width=220, elem_id=elem_id("one_avatar")
        )
        noun = class_noun(page, "one_noun")
    consent = gr.Checkbox(False, label=text("one.consent"), elem_id=elem_id("one_consent"))
    page.say(consent, label="one.consent")
    page.say(page.read("one_avatar", avatar), label="one.avatar", info="one.avatar.info")
    page.show(avatar, _avatars, watched=("choices",))
    message = gr.HTML(elem_id=elem_id("one_files_message"))
    for event in (files.upload, files.clear):
        page.on(event, lambda scene, given: [_thumbnails(given)], [files], [shown], message)
    return [files, avatar, noun, consent]


def _avatars(scene: Scene) -> dict[str, Any]:
    """Nobody, and whoever was trained; who was chosen stays chosen while there."""
    nobody, names = scene.say("one.noavatar"), list(people.avatars_by_label(scene))
    chosen = scene.values.get("one_avatar")
    return {"choices": [nobody, *names], "value": chosen if chosen in names else nobody}


def _thumbnails(files: Any) -> str:
    pictures = [(Path(file.name).name, thumbnail(Path(file.name))) for file in (files or [])[:MAX_REFERENCES]]
    shown = [f'<img class="pa-thumb" src="{source}" alt="{escape(name)}">' for name, source in pictures if source]
    return tag("div", *shown, class_="pa-thumbs") if shown else ""


def _wish(page: Page) -> list[Any]:
    def worded(language: str) -> list[tuple[str, str]]:
        return [(said(f"one.do.{wish}", language), wish) for wish in (NEW, RESTYLE)]

    def restyling(scene: Scene) -> dict[str, Any]:
        return {"visible": scene.values.get("one_do") == RESTYLE}

    wish = gr.Radio(
        worded(DEFAULT), value=NEW, label=text("one.do"), elem_id=elem_id("one_do"), elem_classes="pa-choice"
    )
    page.say(page.read("one_do", wish), label="one.do")
    page.show(wish, lambda scene: {"choices": worded(scene.language)}, watched=("choices",))
    photo = upload(page, "one_photo", "one.photo", several=False, height=110)
    strength = gr.Slider(
        0.05, 1.0, value=CreateRequest.strength, step=0.05, label=text("one.strength"), visible=False,
        info=text("one.strength.info"), elem_id=elem_id("one_strength"),
    )
    page.say(strength, label="one.strength", info="one.strength.info")
    return [wish, page.show(photo, restyling), page.show(strength, restyling)]


# -- making


def _refuse(scene: Scene, wish: Given, beside: Beside) -> None:
    """Raises what the page itself refuses."""
    avatar = people.avatars_by_label(scene).get(wish.avatar or "")
    for photos in (wish.references, *(other.references for other in beside.neighbours)):
        if len(photos) > MAX_REFERENCES:
            raise Refusal(InvalidSettings, "manyphotos", n=len(photos), most=MAX_REFERENCES)
    if wish.wish == RESTYLE and wish.image is None:
        raise Refusal(BadInput, "norestyle")
    if avatar is None and not wish.references and wish.image is None:
        raise Refusal(TooFewPhotos, "nophoto")
    if (wish.references or wish.image or beside.neighbours) and not wish.consent:
        raise Refusal(ConsentMissing, "notagreed")
    if scene.values[KEYPOINTS] == "image" and wish.pose is None:
        raise Refusal(BadInput, "nopose")
    possible.refuse_impossible(scene)


def _request(
    scene: Scene, wish: Given, styles: tuple[str, ...], beside: Beside, settings: dict[str, Any]
) -> CreateRequest:
    """A photo that is painted anew gives pose and expression by itself; another picture does where it is wanted."""
    pose = path_of(wish.pose) if _follows_a_picture(scene) else None
    avatar = people.avatars_by_label(scene).get(wish.avatar or "")
    identity = {name: value for name, value in settings.items() if name in IDENTITY}
    return CreateRequest(
        avatar_id=avatar.id if avatar else "", styles=styles, prompt=wish.prompt, negative_prompt=wish.negative,
        settings={name: value for name, value in settings.items() if name in MAKING}, references=wish.references,
        identity={**identity, "layout": beside.layout}, image=wish.image, strength=wish.strength,
        pose=pose, consent=scene.say("one.consent") if wish.consent else "", door="page",
        class_noun=(wish.noun or CLASS_NOUNS[0]).strip(), neighbours=beside.neighbours, box=beside.box,
    )


def _before(scene: Scene) -> str:
    lines = "".join(tag("li", escape(scene.say(f"one.tip.{number}"))) for number in (1, 2, 3))
    return tag("div", tag("h3", escape(scene.say("one.none"))), tag("ul", lines), class_="pa-empty")
