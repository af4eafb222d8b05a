"""Captions of the class in the words of styles: what a prior asks by, beside the plain ones.

Others are held where a prior asks. One that asks plainly, "a photo of a woman", holds them less where a prompt says
more: there a person's features are learned along with the person's name.
"""

from __future__ import annotations

import random

from personal_avatar.captions.english import with_article
from personal_avatar.domain import BaseModelFile, Style
from personal_avatar.styles.filling import fill
from personal_avatar.styles.library import shipped
from personal_avatar.training.planning.presets import is_tiny

COUNT = 64  # of them; each is encoded before the training
KEPT = 0.5  # of the parts after the first, each by itself
TINY_CATEGORY = "avatar-tiny"


def in_styles(base: BaseModelFile, class_noun: str, seed: int) -> tuple[str, ...]:
    """"a shaded portrait of a woman, blue background": from shipped styles that suit the checkpoint, of whose parts
    between commas the first stays, and half of the others. The same for the same `seed`."""
    drawn = random.Random(seed)
    styles = [style for style in shipped() if (style.category == TINY_CATEGORY) == is_tiny(base)]
    return tuple(_in_style(drawn.choice(styles), class_noun, drawn) for _ in range(COUNT))


def _in_style(style: Style, class_noun: str, drawn: random.Random) -> str:
    first, *rest = fill(style, with_article(class_noun))[0].split(", ")
    return ", ".join([first, *(part for part in rest if drawn.random() < KEPT)])
