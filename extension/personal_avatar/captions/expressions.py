"""Regular expressions that somebody typed: read, and refused where one could run for long.

Python's `re` cannot be stopped while it searches, and holds up everything else in the process. How long a search takes
is known beforehand, as an upper bound: by the number of ways in which an expression can be laid over a text, which a
search that finds nothing tries all, from every place of the text.
"""
from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from personal_avatar.errors import InvalidSettings

LONGEST = 300
MOST_STEPS = 1e9  # two or three seconds at worst
_TURN = 8.0  # a step that can be taken back costs so much more than to compare a character
_ENDLESS = 1e30
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"})
_AROUND = frozenset({"ASSERT", "ASSERT_NOT"})


def read(search: str, texts: Iterable[str]) -> re.Pattern[str]:
    """The expression, for any case of letters. Raises `InvalidSettings`, also where a search of `texts` could take more
    than a moment."""
    if len(search) > LONGEST:
        said = f"The expression has {len(search)} characters, at most {LONGEST} are read."
        raise InvalidSettings(said, "Shorten it.")
    try:
        tree = _parser().parse(search)
        steps = sum(_steps(tree, length) for length in map(len, texts))
        _refuse(search, steps)  # before it is compiled, which lays out repetitions of nothing one by one
        return re.compile(search, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidSettings(f"{search!r} is not a regular expression: {error}.", "Search for plain text.") from None


def _refuse(search: str, steps: float) -> None:
    if steps > MOST_STEPS:
        raise InvalidSettings(
            f"{search!r} fits these captions in too many ways; the search could take hours.",
            "Leave out a repetition, or an alternative within one.",
        )


def _parser() -> Any:
    """Python's own parser of expressions, which has changed its name."""
    return importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


def _steps(tree: Any, length: int) -> float:
    """At most so many steps does a search through a text of `length` characters take."""
    return min((length + 1) * _Reckoning(length).of_sequence(tree).steps, _ENDLESS)


@dataclass(frozen=True)
class _Cost:
    """`ways` in which a part can be laid over the text that follows; `steps`: to try all of them."""

    ways: float
    steps: float


class _Reckoning:
    """Walks over what the parser gives. `wide`: how many repetitions without an end came before, as each one can only
    end behind the ones before it."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._wide = 1  # the place where the search begins is the first

    def of_sequence(self, parts: Any) -> _Cost:
        """What comes next is tried anew for each way of what comes before."""
        ways, steps = 1.0, 0.0
        for part in parts:
            cost = self._of_part(str(part[0]), part[1])
            steps = min(steps + ways * cost.steps, _ENDLESS)
            ways = min(ways * cost.ways, _ENDLESS)
        return _Cost(ways, steps)

    def _of_part(self, kind: str, value: Any) -> _Cost:
        if kind in _REPEATS:
            return self._of_repeat(*value)
        if kind == "BRANCH":
            return self._of_branch(value[1])
        if kind in _AROUND:
            return self._looked_around(value[1])
        if kind in ("SUBPATTERN", "ATOMIC_GROUP"):
            return self.of_sequence(value[-1] if kind == "SUBPATTERN" else value)
        if kind == "GROUPREF_EXISTS":
            return self._of_branch([part for part in value[1:] if part is not None])
        return _Cost(1.0, float(self._length) if kind == "GROUPREF" else 1.0)

    def _of_repeat(self, fewest: int, most: int, inside: Any) -> _Cost:
        fewest, most, (width, widest) = int(fewest), int(most), inside.getwidth()
        if widest == 0 and fewest > 1:  # nothing, many times: Python lays each of them out
            return _Cost(_ENDLESS, _ENDLESS)
        once = self.of_sequence(inside)
        longest = self._length // width if width else max(self._length, fewest)
        turns = max(min(most, longest), 0)
        choices: float = max(turns - fewest, 0) + 1
        if most > longest and once.ways == 1:  # all ends together are no more than places in the text
            self._wide += 1
            choices = 1 + choices / self._wide
        ways = _ENDLESS if turns * math.log(once.ways) > 60 else choices * once.ways**turns
        return _Cost(min(ways, _ENDLESS), min(_TURN + turns * max(once.steps, 1.0) * ways / choices, _ENDLESS))

    def _of_branch(self, alternatives: list[Any]) -> _Cost:
        before, after, costs = self._wide, [], []
        for alternative in alternatives:
            self._wide = before
            costs.append(self.of_sequence(alternative))
            after.append(self._wide)
        self._wide = min(after, default=before)
        ways = [cost.ways for cost in costs] or [1.0]
        return _Cost(
            max(ways) if _apart(alternatives) else min(sum(ways), _ENDLESS),
            min(_TURN * len(ways) + sum(cost.steps for cost in costs), _ENDLESS),
        )

    def _looked_around(self, inside: Any) -> _Cost:
        """What is ahead or behind is looked at by itself."""
        before, self._wide = self._wide, 0
        cost = self.of_sequence(inside)
        self._wide = before
        return cost


def _apart(alternatives: list[Any]) -> bool:
    """Whether no two of them can begin at the same place: each begins with another letter."""
    first: list[tuple[Any, Any]] = [next(iter(alternative), (None, None)) for alternative in alternatives]
    if any(str(kind) != "LITERAL" for kind, _ in first):
        return False
    return len({chr(letter).casefold()[:1] for _, letter in first}) == len(first)
