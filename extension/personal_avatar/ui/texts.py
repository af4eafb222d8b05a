"""Every text of the page by key and language, and which language a page speaks.

The table is assets/texts.json: key -> English, Vietnamese, Chinese (simplified). Keys of settings are the `title`s of
their declarations (params.setting); `<key>.info` is the line of help below a widget. `error.<code>.title` and `.hint`
go with the codes of errors.py, `reason.<code>` with domain.Reason, `style.<id>` with styles.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

LANGUAGES = ("en", "vi", "zh")
LANGUAGE_NAMES = {"en": "English", "vi": "Tiếng Việt", "zh": "中文"}
DEFAULT = "en"
_FILE = Path(__file__).resolve().parents[1] / "assets" / "texts.json"


@lru_cache(maxsize=1)
def table() -> dict[str, tuple[str, ...]]:
    """Key -> texts in the order of LANGUAGES; read once."""
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    places = [document["languages"].index(language) for language in LANGUAGES]
    return {key: tuple(row[place] for place in places) for key, row in document["texts"].items()}


def text(key: str, language: str = DEFAULT, **values: object) -> str:
    """The text of a key, with `{name}` places filled; raises KeyError for a key that the table lacks."""
    found = table()[key][LANGUAGES.index(language)]
    return found.format(**values) if values else found


def has(key: str) -> bool:
    return key in table()


def code_of(name: str, otherwise: str = DEFAULT) -> str:
    """The code of a language that is given by its code or its own name."""
    if name in LANGUAGE_NAMES:
        return name
    return next((code for code, own in LANGUAGE_NAMES.items() if own == name), otherwise)


def choose(remembered: str, accept_language: str = "") -> str:
    """The language that the user chose earlier, else the first of the browser's that we speak, else English."""
    if remembered in LANGUAGES:
        return remembered
    for tag in _by_preference(accept_language):
        if tag.split("-")[0] in LANGUAGES:
            return tag.split("-")[0]
    return DEFAULT


def _by_preference(accept_language: str) -> list[str]:
    """Language tags of an Accept-Language header (RFC 9110), dearest first; what is not well formed counts least."""
    weighted = []
    for part in accept_language.lower().split(","):
        tag, _, quality = part.strip().partition(";")
        weighted.append((tag.strip(), _quality(quality)))
    kept = [(tag, quality) for tag, quality in weighted if tag and quality > 0]
    return [tag for tag, _ in sorted(kept, key=lambda pair: -pair[1])]


def _quality(parameter: str) -> float:
    if not parameter:
        return 1.0
    try:
        return min(1.0, float(parameter.strip().removeprefix("q=")))
    except ValueError:
        return 0.001
