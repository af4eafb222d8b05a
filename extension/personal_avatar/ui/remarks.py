"""What jobs remark, a sentence each: in the language of the page, as far as its table has them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from personal_avatar.ui.markup import tag
from personal_avatar.ui.scene import Scene
from personal_avatar.wording import DEFAULT, translated

KEYS = ("remark.one_recogniser", "remark.no_clip")


def remark(sentence: str, scene: Scene) -> str:
    """The sentence, in English where it is known in that language alone."""
    return translated(sentence, KEYS, scene.language) or sentence


def remarks(sentences: Iterable[str], scene: Scene) -> str:
    """A list; empty without any."""
    lines = [_line(sentence, remark(sentence, scene)) for sentence in sentences]
    return tag("ul", *lines, class_="pa-advice") if lines else ""


def _line(sentence: str, said: str) -> str:
    return tag("li", escape(said), lang=DEFAULT if said == sentence else None)
