"""A template becomes a prompt: who is shown, what is worn, and one line of each wildcard."""
from __future__ import annotations

import re
from collections.abc import Mapping

from personal_avatar.domain import Style
from personal_avatar.errors import BadInput

SUBJECT = "{subject}"
# What can be tried on, and how it is said of somebody in a style that has no place for it.
SLOTS = {"clothes": "wearing {}", "hair": "with {}"}


def fill(style: Style, subject: str, worn: Mapping[str, str] | None = None) -> tuple[str, str]:
    """(prompt, negative prompt) with `subject` ("anna woman") in its place. Raises `BadInput` without a subject.

    `worn`: what to try on, by slot ("clothes", "hair"); a slot that is not in it, or is empty, is filled as the style
    says. A style without that slot says it of the subject: "anna woman wearing a red dress".
    """
    subject = " ".join(subject.split())
    if not subject:
        raise BadInput("A style needs a subject.", "Name the avatar that the picture shall show.")
    prompt = style.prompt
    for name, phrase in SLOTS.items():
        wanted = tidy((worn or {}).get(name, ""))
        place = "{" + name + "}"
        if place in prompt and name in style.slots:
            prompt = prompt.replace(place, wanted or style.slots[name])
        elif wanted:
            subject = f"{subject} {phrase.format(wanted)}"
    return tidy(prompt.replace(SUBJECT, subject)), style.negative_prompt


def tidy(text: str) -> str:
    """One space between words, none before a comma, no empty phrases and no comma at either end."""
    text = re.sub(r"\s*,(\s*,)*\s*", ", ", " ".join(text.split()))
    return text.strip(" ,")
