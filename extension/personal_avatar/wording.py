"""Words and numbers as people read them, the same on page, command line, reports and in errors.

The table of texts is assets/texts.json: key -> English, Vietnamese, Chinese (simplified). Without a language English is
spoken, as the command line and the messages of errors do; reports hold all three.
"""
from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from string import Formatter

from personal_avatar.domain import Engine, Family, Method

LANGUAGES = ("en", "vi", "zh")
LANGUAGE_NAMES = {"en": "English", "vi": "Tiếng Việt", "zh": "中文"}
DEFAULT = "en"
FAMILIES = {Family.SD1: "Stable Diffusion 1.x", Family.SD2: "Stable Diffusion 2.x", Family.SDXL: "Stable Diffusion XL"}
NOTHING = "–"
UNITS = ("seconds", "minutes", "hours")
SECONDS_UP_TO, MINUTES_UP_TO = 90, 5400  # in seconds
GB = 1000.0  # MB
SMALLEST_MB = 0.1
LONGEST = 2000  # characters of a sentence that is looked for: a pattern may look at each pair of them
_PLACE = re.compile(r"\{(\w+)\}")
_FILE = Path(__file__).resolve().parent / "assets" / "texts.json"


# -- texts


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


# -- names


def method_name(method: Method | str, language: str = DEFAULT) -> str:
    """Of a method, or of the photos alone; a code that the table does not know stays as it is."""
    return _name("method", method.value if isinstance(method, Method) else method, language)


def trained_by(method: Method | str, engine: Engine | str, language: str = DEFAULT) -> str:
    """The method, and with which engine unless it is ours."""
    code = engine.value if isinstance(engine, Engine) else engine
    ours = code in ("", Engine.DIFFUSERS.value)
    return method_name(method, language) + ("" if ours else f", {_name('engine', code, language)}")


def _name(kind: str, code: str, language: str) -> str:
    key = f"{kind}.{code}"
    return text(key, language) if has(key) else code


# -- numbers


def share(value: float | None) -> str:
    """A part of 1 as per cent, "72%"."""
    return NOTHING if value is None else f"{_rounded(value, 2):.0%}"


def score(value: float | None, digits: int = 2) -> str:
    """A likeness, a leakage, a merit: "0.41"."""
    return NOTHING if value is None else f"{_rounded(value, digits):.{digits}f}"


def _rounded(value: float, digits: int) -> float:
    """Never the zero that is written with a minus."""
    return round(value, digits) + 0.0


def span(seconds: float | None, language: str = DEFAULT) -> str:
    """A span of time that was measured: "61 s", "12 min", "1.5 h"."""
    if seconds is None:
        return NOTHING
    unit, count = counted(seconds)
    return text(f"span.{unit}", language, n=count)


def counted(seconds: float) -> tuple[str, str]:
    """A span of time as people count it: one of UNITS, and how many, at least one second."""
    if seconds < SECONDS_UP_TO:
        return "seconds", str(max(1, round(seconds)))
    if seconds < MINUTES_UP_TO:
        return "minutes", str(round(seconds / 60))
    return "hours", f"{seconds / 3600:.1f}"


def memory(gb: float | None) -> str:
    """GB (10^9 bytes) of memory: "1.2 GB"."""
    return NOTHING if gb is None else f"{gb:.1f} GB"


def megabytes(count: int) -> float:
    """`count` bytes in MB (10^6 bytes) for a document, to a tenth, and of less than ten to three digits: no file is of
    no size."""
    mb = count / 1e6
    return round(mb, 1) if mb >= 10 else float(f"{mb:.3g}")


def size(mb: float | None) -> str:
    """MB (10^6 bytes) of a file: "37.9 MB", "2.1 GB"; no file is of no size: "< 0.1 MB"."""
    if mb is None:
        return NOTHING
    if mb < SMALLEST_MB:
        return f"< {SMALLEST_MB} MB"
    return f"{mb:.1f} MB" if mb < GB else memory(mb / GB)
