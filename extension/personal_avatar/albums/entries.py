"""A finished picture among others: its scores, which of them are wanted, and in which order they stand."""
from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from personal_avatar.domain import Portrait
from personal_avatar.errors import InvalidSettings

# The parts of a score, as they lie in `Portrait.scores`; "likeness" is a field of its own there.
PARTS = ("overall", "likeness", "second", "prompt", "quality", "diversity", "sharpness", "face_size")
RANK = "rank"
SORTS = (RANK, *PARTS)
FAVOURITE, RESTORED = "favourite", "restored"
LIMIT = rf"({'|'.join(PARTS)})(>=|<=)(-?[0-9]{{1,6}}(?:\.[0-9]{{1,6}})?)"
FILTER = rf"^(({FAVOURITE}|{RESTORED}|{LIMIT})(,({FAVOURITE}|{RESTORED}|{LIMIT}))*)?$"


@dataclass(frozen=True)
class Entry:
    """A picture of a run. `number`: its place when the run ended, 0 the best; it keeps it when others are deleted.
    `owned`: its file lies in our own folder of the run, not among the host's pictures. `made_at`: Unix seconds.
    `called`: what the file was called before it was copied, "" where it has its own name. `generated`: a model made it;
    False: it is somebody's own, and was ranked or restored here."""

    job_id: str
    number: int
    portrait: Portrait
    avatar_id: str = ""
    title: str = ""
    made_at: float = 0.0
    favourite: bool = False
    owned: bool = True
    called: str = ""
    generated: bool = True

    @property
    def name(self) -> str:
        """What people call the picture."""
        return self.called or self.portrait.path.name

    @property
    def key(self) -> str:
        """Names the picture among those of all runs."""
        return f"{self.job_id}:{self.number}"

    @property
    def shown(self) -> Path:
        """The file that counts: the restored one when there is one."""
        return self.portrait.restored or self.portrait.path

    @property
    def likeness(self) -> float | None:
        """Cosine (-1..1) of the picture that is shown; None without a face."""
        before = self.portrait.likeness
        if before is None or self.portrait.restored is None:
            return before
        return self.portrait.scores.get("restored", before)

    def score(self, part: str) -> float | None:
        """One of `PARTS`; None when it was not measured."""
        return self.likeness if part == "likeness" else self.portrait.scores.get(part)


@dataclass(frozen=True)
class Wanted:
    """Which pictures: scores within limits (a picture without the score is not wanted then), marks."""

    at_least: dict[str, float] = field(default_factory=dict)
    at_most: dict[str, float] = field(default_factory=dict)
    favourites: bool = False
    restored: bool = False

    def __call__(self, entry: Entry) -> bool:
        if (self.favourites and not entry.favourite) or (self.restored and entry.portrait.restored is None):
            return False
        return all(_within(entry.score(part), low, None) for part, low in self.at_least.items()) and all(
            _within(entry.score(part), None, high) for part, high in self.at_most.items()
        )


def wanted(text: str) -> Wanted:
    """What is written as `likeness>=0.4,quality>=0.5,favourite`: limits of PARTS, and the words favourite, restored.

    Raises `InvalidSettings`.
    """
    limits: dict[str, dict[str, float]] = {">=": {}, "<=": {}}
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        found = re.fullmatch(LIMIT, word)
        if found:
            limits[found.group(2)][found.group(1)] = float(found.group(3))
        elif word not in (FAVOURITE, RESTORED):
            raise InvalidSettings(
                f"{word!r} is no filter.",
                f"Write {FAVOURITE}, {RESTORED}, or limits such as likeness>=0.4 of {', '.join(PARTS)}.",
            )
    return Wanted(limits[">="], limits["<="], FAVOURITE in words, RESTORED in words)


def arranged(entries: Iterable[Entry], sort: str = RANK, which: Wanted | None = None) -> list[Entry]:
    """Those that are wanted: by a part of the score, best first and unmeasured last, or by rank, which is the newest
    run first and in each the order in which it ended. Raises `InvalidSettings` for an unknown order."""
    if sort not in SORTS:
        raise InvalidSettings(f"{sort!r} is no order.", f"There are {', '.join(SORTS)}.")
    kept = [entry for entry in entries if which is None or which(entry)]
    ranked = sorted(kept, key=lambda entry: (-entry.made_at, entry.job_id, entry.number))
    return ranked if sort == RANK else sorted(ranked, key=lambda entry: _downwards(entry.score(sort)))


def parts_of(entries: Iterable[Entry]) -> list[str]:
    """Those of PARTS that at least one picture has."""
    known = {part for entry in entries for part in PARTS if entry.score(part) is not None}
    return [part for part in PARTS if part in known]


def page_of(entries: Sequence[Entry], page: int, size: int) -> tuple[list[Entry], int, int]:
    """(the pictures of a page, its number, how many pages there are); pages count from 1, the nearest is taken."""
    pages = max(1, -(-len(entries) // size))
    page = min(max(1, page), pages)
    return list(entries[(page - 1) * size : page * size]), page, pages


def _within(value: float | None, low: float | None, high: float | None) -> bool:
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _downwards(value: float | None) -> tuple[bool, float]:
    return value is None, -(value or 0.0)
