"""The Extras tab: faces of any picture are restored, and stay the faces of those who they are.

The page gives the widgets' values. The API has no word for scripts of extensions: it calls them with None for every
argument. Whatever is raised here would be the answer to everybody's request, so nothing is: the picture stays as it
is, and its infotext says why.
"""
from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np
from modules import scripts_postprocessing, shared
from modules.ui_common import create_refresh_button
from modules.ui_components import InputAccordion
from PIL import Image

from personal_avatar.domain import Face
from personal_avatar.identities import IdentityRestoreSettings
from personal_avatar.naming import named
from personal_avatar.params import validated
from personal_avatar.pictures import PREFIX, prompt_in
from personal_avatar.restoration.everybody import RestoredPicture, restore_everybody
from personal_avatar.restoration.judge import Judge, Person, person_in
from personal_avatar.studio.restored import RESTORED, told
from personal_avatar.ui import texts
from personal_avatar.ui.widgets import label_keys, widget
from personal_avatar.webui import borrowed, register, restorers
from personal_avatar.webui.identity.arguments import texts as as_texts
from personal_avatar.webui.identity.people import pictures_from

log = logging.getLogger(__name__)
NAME = "Personal Avatar"
ERROR = PREFIX + "error"
AFTER_UPSCALING = 4000  # the WebUI's own restorers are at 2000 and 3000, its upscaler at 1000
FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
HEIGHT_PX = 140
FIELDS = tuple(name for name in IdentityRestoreSettings.__fields__ if name != "enabled")
PROMPT = "personal_avatar_prompt"  # an attribute of what all pictures of one original share


class PersonalAvatarExtras(scripts_postprocessing.ScriptPostprocessing):
    """Keeps no state: one object of it serves everybody."""

    name = NAME
    order = AFTER_UPSCALING

    def ui(self) -> dict[str, Any]:
        """An exception here, or None, would end the WebUI."""
        try:
            return _widgets()
        except Exception as error:
            log.exception("The Personal Avatar panel of the Extras tab could not be built")
            gr.Markdown(f"**{NAME}** could not start: {named(error)}")
            return {}

    def process_firstpass(self, pp: Any, **values: Any) -> None:
        """What the picture was made with; upscalers leave it out of theirs."""
        said = getattr(pp.image, "info", {}).get("parameters")
        setattr(pp.shared, PROMPT, prompt_in(said) if isinstance(said, str) else "")

    def process(self, pp: Any, **values: Any) -> None:
        """`pp.image` with better faces, `pp.info` with what was done to it."""
        if not values.get("enable"):
            return
        try:
            picture = np.asarray(pp.image.convert("RGB"))
            found, model = _restored(picture, values, str(getattr(pp.shared, PROMPT, "")))
            pp.info.update({RESTORED: str(found.count), **dict(told(found, model))})
            if found.count:
                pp.image = _with_alpha(found.image, pp.image)
        except Exception as error:
            log.warning("Faces were not restored", exc_info=error)
            pp.info[ERROR] = " ".join(str(named(error)).split())[:600]


def _with_alpha(picture: np.ndarray, original: Any) -> Any:
    """The new picture, as transparent as the original."""
    made = Image.fromarray(picture)
    if original.mode == "RGBA":
        made.putalpha(original.getchannel("A"))
    return made


def _restored(picture: np.ndarray, values: Mapping[str, Any], prompt: str) -> tuple[RestoredPicture, str]:
    """Within the WebUI's queue, as all of the Extras tab is. Raises what keeps the faces from being restored."""
    given = {name: values[name] for name in FIELDS if values.get(name) is not None}
    settings = validated(IdentityRestoreSettings, given)
    model = restorers.chosen(settings.model)
    judge = register.studio().restoring.judge()

    def restorer(crop: np.ndarray, face: Face, fidelity: float) -> np.ndarray:
        return restorers.restored(crop, model, fidelity, face)

    people = _people(values, prompt, judge)
    return restore_everybody(picture, people, judge, restorer, settings, lambda face: not borrowed.stopped()), model


def _people(values: Mapping[str, Any], prompt: str, judge: Judge) -> list[Person]:
    """The person of the photos, else the avatar, else those whom the picture's own prompt names."""
    given = enumerate(as_texts(values.get("references")))
    photos = pictures_from({f"references[{number}]": text for number, text in given})
    if photos:
        return [person_in(photos, judge.readers)]
    studio, wanted = register.studio(), str(values.get("avatar") or "")
    avatars = [studio.avatars.find(wanted)] if wanted else studio.restoring.named_in(prompt)
    return [studio.restoring.person(avatar, judge) for avatar in avatars]


def _widgets() -> dict[str, Any]:
    language = texts.choose("", str(shared.opts.localization).replace("_", "-"))
    with InputAccordion(False, label=texts.text("extras.title", language), elem_id=_id("enable")) as enable:
        with gr.Row():
            references = gr.File(
                file_count="multiple", file_types=list(FILES), label=texts.text("extras.references", language),
                elem_id=_id("references"), height=HEIGHT_PX,
            )
            with gr.Column(min_width=260):
                avatar = _list("avatar", texts.text("extras.avatar", language), _avatars)
                model = _list("model", texts.text("identity.restore_model", language), _restorers)
        made = {"enable": enable, "references": references, "avatar": avatar, "model": model}
        rest = [name for name in FIELDS if name not in made]
        for start in range(0, len(rest), 2):
            with gr.Row():
                made |= {name: _setting(name, language) for name in rest[start : start + 2]}
    enable.change(
        lambda: [gr.update(choices=_avatars()), gr.update(choices=_restorers())], outputs=[avatar, model],
        show_progress=False,
    )
    for component in (*made.values(), enable.accordion):
        component.do_not_save_to_config = True
    return made


def _setting(name: str, language: str) -> Any:
    field = IdentityRestoreSettings.__fields__[name]
    words = {prop: texts.text(key, language) for prop, key in label_keys(field.field_info.title).items()}
    return widget(field, _id(name), words, language)


def _list(name: str, label: str, choices: Any) -> Any:
    made = gr.Dropdown([""], value="", label=label, elem_id=_id(name), allow_custom_value=True)
    create_refresh_button(made, lambda: None, lambda: {"choices": choices()}, f"{_id(name)}_refresh")
    return made


def _id(name: str) -> str:
    return f"extras_personal_avatar_{name}"


def _avatars() -> list[str]:
    return ["", *register.studio().avatars.choices()]


def _restorers() -> list[str]:
    return ["", *restorers.available()]
