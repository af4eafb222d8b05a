"""What jobs remark, a sentence each: in the language of the page, as far as its table has them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from personal_avatar.commandline import named_here
from personal_avatar.ui.markup import tag
from personal_avatar.ui.scene import Scene
from personal_avatar.wording import DEFAULT, translated

KEYS = ("remark.one_recogniser", "remark.no_clip")


def remark(sentence: str, scene: Scene) -> str:
    """The sentence, in English where it is known in that language alone; commands in it name the data folder for who
    sits at this machine."""
    folders = scene.studio.host.folders()
    told = named_here(sentence, folders.data) if folders.callers_name_folders else sentence
    return translated(told, KEYS, scene.language) or told


def remarks(sentences: Iterable[str], scene: Scene) -> str:
    """A list; empty without any."""
    lines = [_line(sentence, scene) for sentence in sentences]
    return tag("ul", *lines, class_="pa-advice") if lines else ""


def _line(sentence: str, scene: Scene) -> str:
    is_known = bool(translated(sentence, KEYS, scene.language))
    return tag("li", escape(remark(sentence, scene)), lang=None if is_known else DEFAULT)
