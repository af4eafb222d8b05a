"""The table of texts, assets/texts.json: key -> English, Vietnamese, Chinese (simplified). Without a language English
is spoken, as the command line and the messages of errors do. Standard library only: errors speak before there is more.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter

LANGUAGES = ("en", "vi", "zh")
LANGUAGE_NAMES = {"en": "English", "vi": "Tiếng Việt", "zh": "中文"}
DEFAULT = "en"
LONGEST = 2000  # characters of a sentence that is looked for: a pattern may look at each pair of them
_PLACE = re.compile(r"\{(\w+)\}")
_FILE = Path(__file__).resolve().parent / "assets" / "texts.json"


@lru_cache(maxsize=1)
def table() -> dict[str, tuple[str, ...]]:
    """Key -> texts in the order of LANGUAGES; read once."""
    document = json.loads(_FILE.read_text(encoding="utf-8"))
    places = [document["languages"].index(language) for language in LANGUAGES]
    return {key: tuple(row[place] for place in places) for key, row in document["texts"].items()}


def text(key: str, language: str = DEFAULT, **values: object) -> str:
    """The text of a key, with `{name}` places filled; raises KeyError for a key that the table lacks, and for a place
    without its value."""
    found = table()[key][LANGUAGES.index(language)]
    return found.format(**values) if values else found


def translated(
    sentence: str, keys: Iterable[str], language: str, instead: Mapping[str, Callable[[str], str]] | None = None,
    places: Mapping[str, str] | None = None,
) -> str:
    """An English sentence in another language, where it is the text of one of the keys, whatever fills its places; ""
    where it is none. `instead`: what is put there in place of what fills the places of these names; `places`: patterns
    of what alone fills those of these names. More than LONGEST characters are no text of any key."""
    if len(sentence) > LONGEST:
        return ""
    filling = tuple((places or {}).items())
    for key in keys:
        if found := _pattern(key, filling).fullmatch(sentence):
            filled = found.groupdict()
            said = {name: put(filled[name]) for name, put in (instead or {}).items() if name in filled}
            return text(key, language, **{**filled, **said})
    return ""


@cache
def _pattern(key: str, places: tuple[tuple[str, str], ...]) -> re.Pattern[str]:
    """Of the English texts of a key; see `translated`."""
    parts, filling = _PLACE.split(table()[key][LANGUAGES.index(DEFAULT)]), dict(places)
    last = len(parts) - 2  # which takes all that is left: causes hold what stands between places, names seldom do
    pattern = "".join(
        f"(?P<{part}>{filling.get(part, '.+' if at == last else '.+?')})" if at % 2 else re.escape(part)
        for at, part in enumerate(parts)
    )
    return re.compile(pattern, re.DOTALL)  # names of files may hold any character


def has(key: str) -> bool:
    return key in table()


def can_say(key: str, values: Collection[str]) -> bool:
    """Whether there is such a text, and a value for each of its places: another version may have told other ones."""
    return has(key) and {name for _, name, _, _ in Formatter().parse(text(key)) if name} <= set(values)
