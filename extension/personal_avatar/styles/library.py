"""Style templates: the shipped ones and the user's own.

A template is a prompt with exactly one `{subject}`, in whose place "anna woman" is written (trigger and class noun),
and at most one `{clothes}` and `{hair}`, which can be tried on (styles/filling.py).
"""
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from personal_avatar.domain import Style
from personal_avatar.errors import NotFound
from personal_avatar.shipped import ASSETS
from personal_avatar.styles.filling import SLOTS, SUBJECT, tidy

FOLDER = ASSETS / "styles"
PREVIEWS = FOLDER / "previews"  # <id>.webp
# Files of other names come after these.
ORDER = ("professional", "photo", "social", "dating", "cinematic", "historical", "painting", "drawing", "anime", "3d",
         "fiction", "occasion", "avatar-tiny")
_COMMENT = re.compile(r"#[^\n]*")


@lru_cache(maxsize=1)
def shipped() -> tuple[Style, ...]:
    """The styles that come with the extension, by category; read once. A category is a file."""
    return tuple(style for path in sorted(FOLDER.glob("*.json"), key=_place) for style in _read(path))


def _place(path: Path) -> tuple[int, str]:
    return (ORDER.index(path.stem) if path.stem in ORDER else len(ORDER), path.stem)


def _read(path: Path) -> Iterator[Style]:
    """The file says what its styles have in common: what they must not show, shape, settings for each family."""
    document = json.loads(path.read_text(encoding="utf-8"))
    for row in document["styles"]:
        yield Style(
            row["id"], row["name"], row["prompt"], document["negative"], path.stem,
            shape=_ratio(row.get("shape", document["shape"])),
            settings=document["settings"],
            slots={name: row[name] for name in SLOTS if name in row},
            preview=row["preview"],
        )


def _ratio(text: str) -> float:
    """"4:5" -> .8"""
    width, height = text.split(":")
    return int(width) / int(height)


def settings_of(style: Style, family: str) -> dict[str, Any]:
    """What a style asks for with a family of checkpoints: guidance, steps; nothing when it asks for nothing."""
    return dict(style.settings.get(family, {}))


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
    named = [style for style in styles if key in (style.id.casefold(), style.name.casefold())]
    if named:
        exact = (one for one in named if one.name == wanted.strip() and one.origin == named[0].origin)
        return next(exact, named[0])
    raise NotFound(f"There is no style {wanted!r}.", f"Choose one of: {', '.join(style.id for style in styles)}.")


def own_styles(rows: Iterable[tuple[str, str, str]], comments: bool = True) -> tuple[Style, ...]:
    """The user's styles from (name, prompt, negative prompt); `comments`: see `own_style`. Of names that differ only in
    case or in what stands between words, which make one id, the first keeps it."""
    first: dict[str, str] = {}
    return tuple(_apart(own_style(*row, comments=comments), first) for row in rows)


def _apart(style: Style, first: dict[str, str]) -> Style:
    """`first`: by id, the name that has it."""
    is_first = first.setdefault(style.id, style.name) == style.name
    return style if is_first else replace(style, id=_hashed(style.id, style.name))


def own_style(name: str, prompt: str, negative_prompt: str = "", comments: bool = True) -> Style:
    """A style of the user's WebUI: its text stands around `{prompt}`, or is appended when `{prompt}` is not in it.

    `comments`: what stands from a # to the end of its line is left out, as the WebUI leaves it out of prompts unless
    its settings say otherwise.
    """
    if comments:
        prompt, negative_prompt = _COMMENT.sub("", prompt), _COMMENT.sub("", negative_prompt)
    text = prompt.replace(SUBJECT, "{prompt}")  # our own mark means the same as the WebUI's
    text = text.replace("{prompt}", SUBJECT, 1).replace("{prompt}", "") if "{prompt}" in text else _appended(text)
    negative = negative_prompt.replace("{prompt}", "")
    return Style(own_id(name), name.strip(), tidy(text), tidy(negative), "own", "own")


def own_id(name: str) -> str:
    """The id of a user's own style: "own:" and the name with everything but letters and digits as dashes; what is lost
    so ("Film+") is told by a hash, for another name may have the same letters ("Film")."""
    words = re.sub(r"[\W_]+", "-", name.strip().casefold()).strip("-")
    short = f"own:{words or 'style'}"
    return _hashed(short, name) if re.sub(r"[\w\s-]", "", name) else short


def _hashed(short: str, name: str) -> str:
    return f"{short}-{hashlib.sha256(name.strip().encode()).hexdigest()[:6]}"


def _appended(text: str) -> str:
    text = text.strip().strip(",").strip()
    return f"{SUBJECT}, {text}" if text else SUBJECT
