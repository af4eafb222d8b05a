"""Style templates: the shipped ones, the user's own, and how a subject is put into either.

A template is a prompt with exactly one `{subject}`, in whose place "anna woman" is written (trigger and class noun).
"""
from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from personal_avatar.domain import Style
from personal_avatar.errors import BadInput, NotFound

SUBJECT = "{subject}"
_FILE = Path(__file__).resolve().parents[1] / "assets" / "styles.json"


@lru_cache(maxsize=1)
def shipped() -> tuple[Style, ...]:
    """The styles that come with the extension, in the order of the file; read once."""
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    negatives = {"": "", **document["negatives"]}
    return tuple(
        Style(row["id"], row["name"], row["prompt"], negatives[row["negative"]], row["category"])
        for row in document["styles"]
    )


def categories(styles: Iterable[Style]) -> dict[str, tuple[Style, ...]]:
    """Styles by category, both in the order in which they come."""
    groups: dict[str, list[Style]] = {}
    for style in styles:
        groups.setdefault(style.category, []).append(style)
    return {name: tuple(members) for name, members in groups.items()}


def find(wanted: str, own: Iterable[Style] = ()) -> Style:
    """A style by id or, in any case of letters, by name; the user's `own` come first. Raises `NotFound`."""
    styles = (*own, *shipped())
    key = wanted.strip().casefold()
    for style in styles:
        if style.id == wanted:
            return style
    for style in styles:
        if key in (style.id.casefold(), style.name.casefold()):
            return style
    raise NotFound(f"There is no style {wanted!r}.", f"Choose one of: {', '.join(style.id for style in styles)}.")


def fill(style: Style, subject: str) -> tuple[str, str]:
    """(prompt, negative prompt) with `subject` ("anna woman") in its place. Raises `BadInput` without a subject."""
    subject = " ".join(subject.split())
    if not subject:
        raise BadInput("A style needs a subject.", "Name the avatar that the picture shall show.")
    return style.prompt.replace(SUBJECT, subject), style.negative_prompt


def own_style(name: str, prompt: str, negative_prompt: str = "") -> Style:
    """A style of the user's WebUI: its text stands around `{prompt}`, or is appended when `{prompt}` is not in it."""
    text = _without_subject(prompt)
    text = text.replace("{prompt}", SUBJECT, 1).replace("{prompt}", "") if "{prompt}" in text else _appended(text)
    negative = negative_prompt.replace("{prompt}", "")
    return Style(own_id(name), name.strip(), _tidy(text), _tidy(negative), "own", "own")


def own_id(name: str) -> str:
    """The id of a user's own style: "own:" and the name with everything but letters and digits as dashes."""
    words = re.sub(r"[\W_]+", "-", name.strip().casefold()).strip("-")
    return f"own:{words or 'style'}"


def _without_subject(prompt: str) -> str:
    """Our own mark written by the user means the same as the WebUI's."""
    return prompt.replace(SUBJECT, "{prompt}")


def _appended(text: str) -> str:
    text = text.strip().strip(",").strip()
    return f"{SUBJECT}, {text}" if text else SUBJECT


def _tidy(text: str) -> str:
    """One space between words, none before a comma, no empty phrases and no comma at either end."""
    text = re.sub(r"\s*,(\s*,)*\s*", ", ", " ".join(text.split()))
    return text.strip(" ,")
