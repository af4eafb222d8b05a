"""Regular expressions that somebody typed: read, and refused where one could run for hours.

Python's `re` cannot be stopped while it searches, and holds up everything else in the process. What makes it slow
beyond measure is a repetition inside a repetition, as in `(a+)+`.
"""
from __future__ import annotations

import importlib
import re
import sys
from typing import Any

from personal_avatar.errors import InvalidSettings

_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_FEW = 1
LONGEST = 300


def read(search: str) -> re.Pattern[str]:
    """The expression, for any case of letters. Raises `InvalidSettings`."""
    if len(search) > LONGEST:
        raise InvalidSettings(f"The expression has {len(search)} characters, at most {LONGEST} are read.")
    try:
        found = re.compile(search, re.IGNORECASE)
        nested = _repeats_repetitions(_parser().parse(search), False)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidSettings(f"{search!r} is not a regular expression: {error}.", "Search for plain text.") from None
    if nested:
        raise InvalidSettings(
            f"{search!r} repeats what repeats itself, which can take hours.", "Leave one of the repetitions out."
        )
    return found


def _parser() -> Any:
    """Python's own parser of expressions, which has changed its name."""
    return importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


def _repeats_repetitions(part: Any, repeated: bool) -> bool:
    """Whether something of varying length is repeated inside a repetition. `part`: what the parser gives."""
    if isinstance(part, tuple) and len(part) == 2 and str(part[0]) in _REPEATS:
        fewest, most, inside = part[1]
        varies = int(most) != int(fewest)
        if repeated and varies:
            return True
        return _repeats_repetitions(inside, repeated or int(most) > _FEW)
    if isinstance(part, (tuple, list)) or hasattr(part, "data"):
        return any(_repeats_repetitions(inner, repeated) for inner in part)
    return False
