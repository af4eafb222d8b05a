"""Every text of the page by key and language, and which language a page speaks.

The table is assets/texts.json: key -> English, Vietnamese, Chinese (simplified). Keys of settings are the `title`s of
their declarations (params.setting); `<key>.info` is the line of help below a widget. `error.<code>.title` and `.hint`
go with the codes of errors.py, `reason.<code>` with domain.Reason, `style.<id>` with styles.
"""

from __future__ import annotations

from personal_avatar.wording import DEFAULT, LANGUAGE_NAMES, LANGUAGES, has, table, text

__all__ = ["DEFAULT", "LANGUAGES", "LANGUAGE_NAMES", "choose", "code_of", "has", "table", "text"]


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
