"""Links by which parts of a person were moved to another disk: where they lead, and what of that is left."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from personal_avatar.erasure import erased, led_to, links_at
from personal_avatar.jobs.homing import original_home


class Links:
    """`places`: the person's files and folders; `jobs`: folders of the person's jobs; `data`: the data folder."""

    def __init__(self, places: Iterable[Path], jobs: Iterable[Path], data: Path) -> None:
        self._data, self._originals = data, {home for folder in jobs if (home := original_home(folder)) is not None}
        places = list(places)
        found = [link for place in places for link in links_at(place)]
        found += [place for place in places if self.is_behind(place) and _holds_something(place)]
        targets = [led_to(link) for link in found]
        self._before = {target: _is_there(target) for target in targets if not os.path.islink(target)}

    def is_shared(self, link: Path) -> bool:
        """Whether the data folder is a copy of one in which the same link leads to the same place; also where nobody
        knows, as in the folders of a WebUI."""
        if not self._originals:
            return False
        if not link.is_relative_to(self._data):
            return True
        inside = link.relative_to(self._data)
        return any(led_to(home / inside) == led_to(link) for home in self._originals)

    def is_behind(self, path: Path) -> bool:
        """Whether it lies in the original of the data folder, or in a folder that is shared with it: then it is the
        original's alone to erase."""
        if path.is_relative_to(self._data):
            return self.is_shared(path.parent)
        return any(path.is_relative_to(home) for home in self._originals)

    def cut(self, link: Path) -> bool:
        """Of what is shared the link goes, where it is of the copy; whether nothing that has to go is left."""
        return self.is_behind(link) or erased(link)

    def left(self) -> list[Path]:
        """What they led to that is not gone; also on a disk that is away."""
        return [target for target, was_there in self._before.items() if not was_there or _holds_something(target)]


def _holds_something(path: Path) -> bool:
    """Also where nobody may look."""
    try:
        return any(path.iterdir()) if path.is_dir() else path.exists()
    except OSError:
        return True


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
