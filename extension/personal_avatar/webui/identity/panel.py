"""The accordion: widgets from the declarations of the settings, in the order in which `arguments` reads them.

Nothing of it is frozen into ui-config.json. Its language is that of the WebUI's own setting, else English.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from modules import shared
from modules.ui_common import create_refresh_button
from modules.ui_components import InputAccordion
from pydantic.fields import ModelField

from personal_avatar.identities import IdentityRestoreSettings, IdentitySettings, PersonSettings, RegionSettings
from personal_avatar.params import Settings
from personal_avatar.ui import texts
from personal_avatar.ui.thumbs import thumbnail
from personal_avatar.ui.widgets import label_keys, widget
from personal_avatar.webui import register, restorers
from personal_avatar.webui.identity import pasting
from personal_avatar.webui.identity.arguments import ADVANCED, EDGES, NAMES, PASTED, RESTORE, SLOTS

TITLE = "Personal Avatar"
FILES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".heic", ".avif")
PICTURE_PX = 180
THUMBNAIL = "display:inline-block;height:72px;margin:0 6px 6px 0;border-radius:6px"
CHOSEN = {"adapter", "avatar", "model"}  # texts that are chosen from a list


class Panel:
    """Built inside the current block. `components` in the order of `NAMES`."""

    def __init__(self, elem_id: Callable[[str], str]) -> None:
        self._elem_id = elem_id
        self._language = texts.choose("", str(shared.opts.localization).replace("_", "-"))
        self._made: dict[str, Any] = {}
        with InputAccordion(False, label=TITLE, elem_id=elem_id("enabled")) as self._made["enabled"]:
            self._reminder()
            self._person()
            self._strengths()
            self._several()
            self._more()
        self._fill_when_opened()
        for component in (*self._made.values(), self._made["enabled"].accordion):
            component.do_not_save_to_config = True
        self.components = [self._made[name] for name in NAMES]
        self.infotext_fields = [*self._fields(), (self._made[PASTED], _reminded)]
        self.paste_field_names = [str(name) for _, name in self._fields()]

    def _fields(self) -> list[tuple[Any, pasting.PastedField]]:
        return [(self._made[name], pasting.field(name)) for name in NAMES if name not in pasting.UNSTORED]

    def _reminder(self) -> None:
        """Photos are never in a picture: after a paste the user is asked to give them again."""
        self._made[PASTED] = gr.Textbox(
            label=self._text("script.pasted"), info=self._text("script.pasted.info"), visible=False, max_lines=1,
            elem_id=self._elem_id(PASTED),
        )

    def _person(self) -> None:
        with gr.Row():
            self._photos("references")
            with gr.Column(scale=2, min_width=260):
                with gr.Row():
                    self._add("avatar")
                self._add("method")

    def _strengths(self) -> None:
        with gr.Row():
            self._add("adapter_weight", "identitynet_weight")
        with gr.Row():
            self._add("start", "end")
        with gr.Row():
            self._add("keypoints")
            self._picture("keypoints_image")
        with gr.Row():
            self._add("second_pass", "restore.enabled")

    def _several(self) -> None:
        with self._folded("script.several", "several"):
            gr.HTML(escape(self._text("script.several.info")))
            self._add("layout")
            with gr.Tabs():
                for slot in SLOTS:
                    with gr.Tab(self._text("script.person", number=slot)):
                        self._slot(f"person{slot}.", slot)

    def _slot(self, prefix: str, slot: int) -> None:
        with gr.Row():
            if slot == SLOTS[0]:
                gr.HTML(escape(self._text("script.person.first")))
            else:
                self._photos(prefix + "references")
                with gr.Column(scale=2, min_width=260), gr.Row():
                    self._add(prefix + "avatar")
            self._picture(prefix + "mask")
        self._add(prefix + "weight")
        for pair in (EDGES[0::2], EDGES[1::2]):
            with gr.Row():
                self._add(*(prefix + edge for edge in pair))

    def _more(self) -> None:
        with self._folded("settings.advanced", "more"):
            for names in _pairs([*(f"restore.{name}" for name in RESTORE if name != "enabled"), *ADVANCED]):
                with gr.Row():
                    self._add(*names)

    def _add(self, *names: str) -> None:
        for name in names:
            field, dom_id = declaration(name), self._elem_id(name.replace(".", "_"))
            words = {prop: self._text(key) for prop, key in label_keys(field.field_info.title).items()}
            if name.rpartition(".")[2] in CHOSEN:
                self._made[name] = self._list(name, dom_id, words)
            else:
                self._made[name] = widget(field, dom_id, words, self._language)

    def _list(self, name: str, dom_id: str, words: dict[str, str]) -> Any:
        choices = _choices(name)
        made = gr.Dropdown([""], value="", elem_id=dom_id, allow_custom_value=True, min_width=180, **words)
        create_refresh_button(made, lambda: None, lambda: {"choices": choices()}, f"{dom_id}_refresh")
        return made

    def _photos(self, name: str) -> None:
        dom_id = self._elem_id(name.replace(".", "_"))
        with gr.Column(scale=3, min_width=260):
            files = self._made[name] = gr.File(
                file_count="multiple", file_types=list(FILES), label=self._text("identity.references"), elem_id=dom_id,
                height=PICTURE_PX,
            )
            shown = gr.HTML(elem_id=f"{dom_id}_shown")
        files.change(_thumbnails, inputs=[files], outputs=[shown], show_progress=False)

    def _picture(self, name: str) -> None:
        """Kept with its transparency: without, colours would show that lie hidden there."""
        self._made[name] = gr.Image(
            type="numpy", source="upload", label=self._text(declaration(name).field_info.title), height=PICTURE_PX,
            elem_id=self._elem_id(name.replace(".", "_")), min_width=180, image_mode="RGBA",
        )

    def _fill_when_opened(self) -> None:
        """What can be chosen is looked up when somebody opens the accordion: it costs nothing at start."""
        lists = [name for name in NAMES if name.rpartition(".")[2] in CHOSEN]
        found = [_choices(name) for name in lists]
        self._made["enabled"].change(
            lambda: [gr.update(choices=choices()) for choices in found], outputs=[self._made[name] for name in lists],
            show_progress=False,
        )

    def _folded(self, key: str, name: str) -> Any:
        return gr.Accordion(self._text(key), open=False, elem_id=self._elem_id(name))

    def _text(self, key: str, **values: object) -> str:
        return texts.text(key, self._language, **values)


def _reminded(params: dict[str, str]) -> Any:
    hashes = pasting.reminder(params)
    return gr.update(value=hashes, visible=bool(hashes))


def _thumbnails(files: Any) -> str:
    """The photos that were given, small."""
    sources = [thumbnail(Path(file.name)) for file in files or []]
    return "".join(f'<img src="{source}" style="{THUMBNAIL}" alt="">' for source in sources if source)


def declaration(name: str) -> ModelField:
    """Where one of `NAMES` is declared."""
    place, _, last = name.rpartition(".")
    kind: type[Settings] = IdentityRestoreSettings if place == "restore" else IdentitySettings
    if place.startswith("person"):
        kind = RegionSettings if last in EDGES else PersonSettings
    return kind.__fields__[last]


def _choices(name: str) -> Callable[[], list[Any]]:
    found = {"adapter": _adapters, "model": _restorers}
    return found.get(name.rpartition(".")[2], _avatars)


def _avatars() -> list[str]:
    return ["", *register.studio().avatars.choices()]


def _adapters() -> list[Any]:
    from personal_avatar.studio.oneshot import METHODS_OF, shelf_of

    shelf = shelf_of(register.studio().host.folders())
    return ["", *(file.path.name for family in METHODS_OF for file in shelf.adapters(family))]


def _restorers() -> list[Any]:
    return ["", *restorers.available()]


def _pairs(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + 2] for start in range(0, len(names), 2)]
