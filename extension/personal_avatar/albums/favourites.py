"""Which pictures of a run somebody likes: a file in the run's own folder, so that it is erased with it."""
from __future__ import annotations

from pathlib import Path

from personal_avatar.records import kept, put_aside
from personal_avatar.storage import write_json

FILE = "favourites.json"
VERSION = 1
DAMAGED = (ValueError, TypeError, KeyError, OverflowError)


def read(folder: Path) -> frozenset[int]:
    """Numbers of the favourites; none when there is no file or it is damaged. Raises `NotReadable`."""
    try:
        return _numbers(folder / FILE)
    except DAMAGED:
        return frozenset()


def write(folder: Path, numbers: frozenset[int]) -> None:
    """A damaged file is kept aside. Raises `NotReadable`."""
    try:
        _numbers(folder / FILE)
    except DAMAGED:
        put_aside(folder / FILE)
    write_json(folder / FILE, {"version": VERSION, "favourites": sorted(numbers)})


def _numbers(path: Path) -> frozenset[int]:
    document = kept(path)
    return frozenset() if document is None else frozenset(int(number) for number in document["favourites"])
