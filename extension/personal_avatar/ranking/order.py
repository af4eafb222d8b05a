"""Sort by any part of the scores, and keep what passes filters such as `likeness>=0.4`."""
from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from personal_avatar.errors import InvalidSettings
from personal_avatar.ranking.nouns import J, Judged

OVERALL = "overall"
# What can be sorted and filtered by, the usual ones first; more is good, but for the number of faces.
KEYS = (
    OVERALL, "likeness", "second", "prompt", "quality", "diversity", "face_size", "sharpness", "clear", "quiet",
    "unburnt", "graded", "unblocked", "close", "alone", "detection", "faces",
)
FEWER_IS_BETTER = ("faces",)
_FILTER = re.compile(r"\s*([a-z_]+)\s*(>=|<=|==|=|>|<)\s*(-?[0-9]+(?:\.[0-9]*)?|-?\.[0-9]+)\s*")
# The filters that `Filter.parse` takes, for schemas.
FILTER = rf"^({'|'.join(KEYS)})(>=|<=|==|=|>|<)-?[0-9]{{1,9}}(\.[0-9]{{0,9}})?$"
_TESTS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "=": operator.eq,
}


@dataclass(frozen=True)
class Filter:
    """`key` of KEYS compared with `value` by `test`: one of >=, <=, >, <, ==."""

    key: str
    test: str
    value: float

    @classmethod
    def parse(cls, text: str) -> Filter:
        """`likeness>=0.4`. Raises `InvalidSettings`."""
        match = _FILTER.fullmatch(text)
        if match is None:
            raise InvalidSettings(f"{text!r} is no filter.", "Write one like likeness>=0.4 or faces==1.")
        return cls(known(match[1]), match[2], float(match[3]))

    def passes(self, item: Judged) -> bool:
        """False as well where the item has no such score."""
        value = value_of(item, self.key)
        return value is not None and _TESTS[self.test](value, self.value)


def known(key: str) -> str:
    """`key`, if one can sort by it. Raises `InvalidSettings`."""
    if key not in KEYS:
        raise InvalidSettings(f"There is no score called {key!r}.", f"Known are: {', '.join(KEYS)}.")
    return key


def value_of(item: Judged, key: str) -> float | None:
    """A score by its key; None when the item has none."""
    if key == "likeness":
        return item.likeness
    return float(item.faces) if key == "faces" else item.scores.get(key)


def sorted_by(items: Iterable[J], key: str = OVERALL) -> list[J]:
    """Best first; what lacks the score last. Equal ones keep their order. Raises `InvalidSettings`."""
    sign = 1.0 if known(key) in FEWER_IS_BETTER else -1.0

    def place(item: Judged) -> tuple[bool, float]:
        value = value_of(item, key)
        return value is None, sign * (value or 0.0)

    return sorted(items, key=place)


def filtered(items: Iterable[J], filters: Sequence[Filter]) -> list[J]:
    """Those that pass all filters, in their order."""
    return [item for item in items if all(one.passes(item) for one in filters)]
