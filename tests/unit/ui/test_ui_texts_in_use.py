"""What rooms beside the page say is said by somebody: no key of it is left over in the table."""
from __future__ import annotations

import ast
import re
from functools import cache

import pytest
from personal_avatar.ui.texts import table

from tests.unit.ui.sources import NAMED, PACKAGE

UNNAMED = {"content.main_memory", "error.other", "log.of_photo"}  # words for pages in another language than English
READERS = ("failures.py", "remarks.py")  # of the page: they look for what others have said
LEAST = 3  # letters of its own: what is made of places alone could be any key


@cache
def written() -> tuple[frozenset[str], tuple[re.Pattern[str], ...]]:
    """All texts of the package, and those with places in them as patterns."""
    texts, made = set(), set()
    for source in (one for one in PACKAGE.rglob("*.py") if one not in [PACKAGE / "ui" / name for name in READERS]):
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


@pytest.mark.parametrize("family", NAMED)
def test_what_other_rooms_say_by_its_key_is_said_by_one_of_them(family: str) -> None:
    keys = {key for key in table() if key.startswith(f"{family}.")} - UNNAMED
    assert keys and sorted(key for key in keys if not is_named(key)) == []


def test_what_nobody_says_is_seen() -> None:
    assert not is_named("remedy.nobody_says_this") and not is_named("error.NOBODY.title")
