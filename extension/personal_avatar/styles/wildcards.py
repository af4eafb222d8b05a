"""`__name__` in a prompt stands for one line of `name.txt` in a folder of wildcards, another one for each picture.

The files are those that extensions of the WebUI use: one choice a line, `#` begins a comment, folders are part of the
name (`__clothes/summer__`), `*` stands for any part of it, and a line may hold wildcards in turn.
"""
from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Sequence
from pathlib import Path

from personal_avatar.errors import BadInput, NotFound
from personal_avatar.storage import files_below

# Names of networks, such as <lora:my__film__v2:1>, are passed over.
PLACE = re.compile(r"<\w+:[^<>]*>|__([\w*/ -]+?)__")
DEEPEST = 10
MOST_BYTES = 4_000_000


def has_wildcards(prompt: str) -> bool:
    return bool(_named(prompt))


def _named(prompt: str) -> list[str]:
    return [place[1] for place in PLACE.finditer(prompt) if place[1]]


def names(folders: Sequence[Path]) -> tuple[str, ...]:
    """All that can be written between the underscores, in the order of the alphabet."""
    return tuple(sorted({name for folder in folders for name, _ in _files(folder)}))


def expanded(prompt: str, folders: Sequence[Path], seed: int) -> str:
    """The prompt with every place filled; the same for the same seed and files.

    Raises `NotFound` for a name without a file, `BadInput` for an empty file and for wildcards that name themselves.
    """
    chance = random.Random(seed)
    for _ in range(DEEPEST):
        if not has_wildcards(prompt):
            return prompt
        prompt = PLACE.sub(lambda place: chance.choice(_lines(place[1], folders)) if place[1] else place[0], prompt)
    raise BadInput(f"Wildcards in {prompt[:60]!r} name each other without end.", "Take one of them out of its file.")


def refuse_unknown(prompt: str, folders: Sequence[Path]) -> None:
    """Raises what `expanded` may raise for any seed because of a name without a file, or an empty file; and for the
    first seed what else it raises."""
    waiting, seen = _named(prompt), set()
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [inner for line in _lines(name, folders) for inner in _named(line)]
    expanded(prompt, folders, 0)


def _lines(name: str, folders: Sequence[Path]) -> list[str]:
    found = [path for folder in folders for known, path in _files(folder) if fnmatch.fnmatchcase(known, name)]
    if not found:
        known = ", ".join(names(folders)[:20]) or "none"
        raise NotFound(f"There is no wildcard {name!r}.", f"Wildcards here: {known}.")
    lines = [line for path in found for line in _choices(path)]
    if not lines:
        raise BadInput(f"The wildcard {name!r} has no choices.", f"Write one a line into {found[0].name}.")
    return lines


def _choices(path: Path) -> list[str]:
    with path.open("rb") as file:
        text = file.read(MOST_BYTES).decode("utf-8-sig", errors="replace")
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(name, file) of every list below a folder; none when it is not there."""
    lists = sorted(path for path in files_below(folder) if path.suffix == ".txt")
    return [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in lists]
