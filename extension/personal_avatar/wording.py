"""Words and numbers as people read them, the same on page, command line, reports and in errors.

Without a language English is spoken, as in the table of texts (texts.py); reports hold all three.
"""
from __future__ import annotations

from typing import Any

from personal_avatar.domain import Advice, Engine, Family, Method
from personal_avatar.texts import (
    DEFAULT,
    LANGUAGE_NAMES,
    LANGUAGES,
    LONGEST,
    can_say,
    has,
    table,
    text,
    translated,
)

__all__ = [
    "DEFAULT", "FAMILIES", "LANGUAGES", "LANGUAGE_NAMES", "LONGEST", "NOTHING", "UNITS", "can_say", "counted", "has",
    "megabytes", "memory", "method_name", "score", "share", "size", "span", "table", "text", "told", "trained_by",
    "translated",
]

FAMILIES = {Family.SD1: "Stable Diffusion 1.x", Family.SD2: "Stable Diffusion 2.x", Family.SDXL: "Stable Diffusion XL"}
NOTHING = "–"
UNITS = ("seconds", "minutes", "hours")
SECONDS_UP_TO, MINUTES_UP_TO = 90, 5400  # in seconds
GB = 1000.0  # MB
SMALLEST_MB = 0.1


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


# -- sentences


def told(family: str, code: str, **values: Any) -> Advice:
    """`code` with its values and the English sentence of the key `<family>.<code>`, such as `advice.<code>` of photos,
    `train_advice.<code>` and `choice.<code>` of trainings. Raises what `text` raises."""
    return Advice(code, text(f"{family}.{code}", **values), values)


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
