"""Which pictures of a run somebody likes: a file in the run's own folder, so that it is erased with it."""
from __future__ import annotations

import json
from pathlib import Path

from personal_avatar.storage import write_json

FILE = "favourites.json"
VERSION = 1


def read(folder: Path) -> frozenset[int]:
    """Numbers of the favourites; none when the file is not there or damaged."""
    try:
        document = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return frozenset(int(number) for number in document["favourites"])
    except (OSError, ValueError, TypeError, KeyError):
        return frozenset()


def write(folder: Path, numbers: frozenset[int]) -> None:
    write_json(folder / FILE, {"version": VERSION, "favourites": sorted(numbers)})
