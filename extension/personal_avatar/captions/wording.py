"""The parts of a caption: what stands between its commas, and how they are put together again."""
from __future__ import annotations

import re
from collections.abc import Iterable

_SPACES = re.compile(r"\s+")
_WORD = re.compile(r"[^\W_][\w'-]*")
_LETTER = re.compile(r"\w")
_COMMA = re.compile(r"\s*,\s*")


def parts(caption: str) -> list[str]:
    """What stands between the commas, without the empty ones."""
    return [part for part in _COMMA.split(_SPACES.sub(" ", caption).strip()) if part]


def joined(pieces: Iterable[str]) -> str:
    """The caption of these parts; what is empty is left out."""
    return ", ".join(piece for piece in pieces if piece)


def tidied(caption: str) -> str:
    """One line, one space between two words, one comma between two parts, none before the first or after the last."""
    return joined(parts(caption))


def key(part: str) -> str:
    """A tag as it is compared: `Long_Hair`, `long hair` and `(long hair:1.2)` are one. Faces such as ^_^ stay."""
    plain = re.sub(r"\\([()])", r"\1", part.strip())
    weighted = re.fullmatch(r"\(([^()]+?)(?::\s*[\d.]+)?\)", plain)
    plain = weighted[1] if weighted else plain
    return _SPACES.sub(" ", re.sub(r"(?<=\w)_(?=\w)", " ", plain)).strip().lower()


def mentions(word: str) -> re.Pattern[str]:
    """Where a text has `word` (or words) by itself, in any case; a sign at its end needs no distance."""
    before = r"(?<!\w)" if _LETTER.match(word[:1]) else ""
    after = r"(?!\w)" if _LETTER.match(word[-1:]) else ""
    return re.compile(before + re.escape(word) + after, re.IGNORECASE)


def words_of(text: str) -> set[str]:
    """Those of a text, in small letters."""
    return set(_WORD.findall(text.lower()))


def renamed(text: str, word: str, other: str) -> str:
    """With `other` wherever `word` (or words) stands by itself, in any case."""
    return mentions(word).sub(lambda found: other, text)
