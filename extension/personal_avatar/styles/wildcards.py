"""`__name__` in a prompt stands for one line of `name.txt` in a folder of wildcards, another one for each picture.

The files are those that extensions of the WebUI use: one choice a line, `#` begins a comment, folders are part of the
name (`__clothes/summer__`), `*` stands for any part of it, and a line may hold wildcards in turn.
"""
from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from personal_avatar.errors import BadInput, NotFound
from personal_avatar.problems import stated
from personal_avatar.storage import files_below, opened

# Names of networks, such as <lora:my__film__v2:1>, are passed over.
PLACE = re.compile(r"<\w+:[^<>]*>|__([\w*/ -]+?)__")
DEEPEST = 10
MOST_BYTES = 4_000_000
LONGEST = 100_000  # characters of a prompt that is filled
SHOWN = 60


def has_wildcards(prompt: str) -> bool:
    return bool(_named(prompt))


def _named(prompt: str) -> list[str]:
    return [place[1] for place in PLACE.finditer(prompt) if place[1]]


def names(folders: Sequence[Path]) -> tuple[str, ...]:
    """All that can be written between the underscores, in the order of the alphabet."""
    return tuple(sorted({name for folder in folders for name, _ in _files(folder)}))


class Wildcards:
    """Fills prompts from the lists in some folders. Each file is read once, so that one object serves many pictures."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._read: dict[str, list[str]] = {}

    def expanded(self, prompt: str, seed: int) -> str:
        """The prompt with every place filled; the same for the same seed and files.

        Raises `NotFound` for a name without a file, `BadInput` for an empty file and for wildcards that name
        themselves.
        """
        chance = random.Random(seed)
        begun = prompt[:SHOWN]
        for _ in range(DEEPEST):
            if not has_wildcards(prompt):
                return prompt
            parts, length = [], 0
            for part in self._filled(prompt, chance):
                parts.append(part)
                length += len(part)
                if length > LONGEST:
                    values = {"wanted": repr(begun), "number": LONGEST}
                    raise stated(BadInput, "failure.wild_length", "remedy.wild_endless", **values)
            prompt = "".join(parts)
        raise stated(BadInput, "failure.wild_endless", "remedy.wild_endless", wanted=repr(begun))

    def refuse_unknown(self, prompt: str) -> None:
        """Raises what `expanded` may raise for any seed because of a name without a file, or an empty file; and for the
        first seed what else it raises."""
        waiting, seen = _named(prompt), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += {inner for line in self._of(name) for inner in _named(line)}
        self.expanded(prompt, 0)

    def _filled(self, prompt: str, chance: random.Random) -> Iterator[str]:
        """The prompt in pieces, with a line in each place; what the lines name is not filled yet."""
        done = 0
        for place in PLACE.finditer(prompt):
            yield prompt[done : place.start()]
            yield chance.choice(self._of(place[1])) if place[1] else place[0]
            done = place.end()
        yield prompt[done:]

    def _of(self, name: str) -> list[str]:
        """What a name between underscores stands for."""
        if name not in self._read:
            self._read[name] = self._lines(name)
        return self._read[name]

    @cached_property
    def _files(self) -> list[tuple[str, Path]]:
        return [found for folder in self._folders for found in _files(folder)]

    def _lines(self, name: str) -> list[str]:
        found = [path for known, path in self._files if fnmatch.fnmatchcase(known, name)]
        if not found:
            known = ", ".join(names(self._folders)[:20]) or "none"
            raise stated(NotFound, "failure.no_wildcard", "remedy.wildcards", wanted=repr(name), names=known)
        lines = [line for path in found for line in _choices(path)]
        if not lines:
            values = {"wanted": repr(name), "file": found[0].name}
            raise stated(BadInput, "failure.empty_wildcard", "remedy.line_each", **values)
        return lines


def _choices(path: Path) -> list[str]:
    with opened(path) as file:
        text = file.read(MOST_BYTES).decode("utf-8-sig", errors="replace")
    stripped = (line.strip() for line in text.splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(name, file) of every list below a folder; none when it is not there."""
    lists = sorted(path for path in files_below(folder) if path.suffix == ".txt")
    return [(path.relative_to(folder).with_suffix("").as_posix(), path) for path in lists]
