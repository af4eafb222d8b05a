"""What rooms beside the page say is said by somebody: no key of it is left over in the table."""
from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest
from personal_avatar.problems import PLACE
from personal_avatar.ui.texts import table, text

from tests.unit.ui.sources import NAMED, PACKAGE, WRITTEN

WRITTEN_KEYS = {"content.main_memory"}
OPTIONAL = {"error.other"}
LEAST = 3  # letters of its own: what is made of places alone could be any key


@cache
def written() -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """All texts of the package, and those with places in them as patterns."""
    texts, made = set(), set()
    for source in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                made.add("".join(_part(part) for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    own = (pattern for pattern in made if len(re.findall("[a-z]", pattern, re.I)) >= LEAST)
    return frozenset(texts), tuple(re.compile(pattern) for pattern in sorted(own))


def _part(part: ast.expr) -> str:
    return re.escape(str(part.value)) if isinstance(part, ast.Constant) else "(.+)"


@cache
def is_named(word: str) -> bool:
    """A text of the package, or one with places that such words fill: `f"report.{key}"`, `f"{one}.means"`."""
    texts, patterns = written()
    found = (pattern.fullmatch(word) for pattern in patterns)
    return word in texts or any(all(map(is_named, match.groups())) for match in found if match and match.groups())


def is_written(key: str) -> bool:
    """Whether the longest run of its English words stands in the package."""
    said = max(_runs(text(key)), key=len).casefold()
    return any(said in one.casefold() for one in written()[0])


def _runs(sentence: str) -> Iterator[str]:
    return (run.strip(" .;") for part in PLACE.split(sentence) for run in re.split(": ", part))


@pytest.mark.parametrize("family", NAMED)
def test_what_other_rooms_say_by_its_key_is_said_by_one_of_them(family: str) -> None:
    keys = {key for key in table() if key.startswith(f"{family}.")} - WRITTEN_KEYS - OPTIONAL
    assert keys and sorted(key for key in keys if not is_named(key)) == []


@pytest.mark.parametrize("family", WRITTEN)
def test_what_other_rooms_write_as_sentences_is_written_by_one_of_them(family: str) -> None:
    keys = {key for key in table() if key.startswith(f"{family}.")}
    assert keys and sorted(key for key in {*keys, *WRITTEN_KEYS} if not (is_named(key) or is_written(key))) == []


def test_what_nobody_says_is_seen() -> None:
    assert not is_named("remedy.nobody_says_this") and not is_named("error.NOBODY.title")
