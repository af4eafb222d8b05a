"""What is wrong with what somebody wrote, and what to do about it: sentences of the table, and several in one."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

from personal_avatar.errors import AvatarError, InvalidSettings
from personal_avatar.naming import CHARACTERS, first_line
from personal_avatar.wording import table, text

E = TypeVar("E", bound=AvatarError)
PLACE = re.compile(r"{\w+}")
BETWEEN = "; "  # two problems of one message


def refused(problem: str, remedy: str = "", **values: Any) -> InvalidSettings:
    """With the texts of these keys; `values` fill the places of both. Without a remedy: the usual one."""
    error = several([text(problem, **values)])
    error.hint = text(remedy, **values) if remedy else error.hint
    return error


def stated(kind: type[E], sentence: str, remedy: str = "", **values: Any) -> E:
    """An error with the texts of these keys, the first a whole sentence; see `refused`. An exception among the values
    is told by the first line of what it says."""
    said = {
        name: first_line(value, CHARACTERS) if isinstance(value, BaseException) else value
        for name, value in values.items()
    }
    return kind(text(sentence, **said), text(remedy, **said) if remedy else None)


def all_refused(*checks: Callable[[], object]) -> None:
    """Make all of the checks; raises one `InvalidSettings` with what each of them finds wrong."""
    raise_all(checks, InvalidSettings, _joined)


def raise_all(checks: Iterable[Callable[[], object]], kind: type[E], joined: Callable[[Sequence[E]], E]) -> None:
    """Make all of the checks; raises the error of this kind that one of them raises, or all of them `joined`."""
    found: list[E] = []
    for check in checks:
        try:
            check()
        except kind as error:
            found.append(error)
    if found:
        raise joined(found) if len(found) > 1 else found[0]


def _joined(found: Sequence[InvalidSettings]) -> InvalidSettings:
    said = list(dict.fromkeys(problem for error in found for problem in problems_of(error)))
    hints = list(dict.fromkeys(error.hint for error in found if error.hint))
    joined = several(said)
    joined.hint, joined.hints = " ".join(hints), hints
    joined.titles = {name: title for error in found for name, title in error.titles.items()}
    return joined


def several(problems: Iterable[str]) -> InvalidSettings:
    """All of them in one message; each without a full stop."""
    said = list(problems)
    error = InvalidSettings(f"{BETWEEN.join(said)}.")
    error.problems = said
    return error


def problems_of(error: InvalidSettings) -> Sequence[str]:
    """What it says is wrong, one by one. Without `problems`, as jobs of earlier versions keep it, it is cut where they
    seem to end, and a value or a list of names may be cut, too: then its parts are no text of any of `known`."""
    return error.problems or error.message.removesuffix(".").split(BETWEEN)


@cache
def known(kind: str = "problem") -> tuple[str, ...]:
    """Keys of all that can be wrong with what was written, or of every "remedy"; of what is said of a "base", of the
    "content" of its file and of the "trainer"."""
    return tuple(key for key in table() if key.startswith(f"{kind}.") and key != "problem.all")


@cache
def longest_first(kind: str) -> tuple[str, ...]:
    """`known`, those with the most words of their own first: others could take these for what fills their places."""
    return tuple(sorted(known(kind), key=lambda key: -len(PLACE.sub("", text(key)))))
