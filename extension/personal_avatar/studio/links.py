"""Links by which parts of a person were moved to another disk: where they lead, and what of that is left."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from personal_avatar.erasure import links_at
from personal_avatar.jobs.catalogue import JOB_FILE
from personal_avatar.jobs.homing import is_copied


class Links:
    """`places`: the person's files and folders; `jobs`: folders of the person's jobs; `data`: the data folder."""

    def __init__(self, places: Iterable[Path], jobs: Iterable[Path], data: Path) -> None:
        found = [link for place in places for link in links_at(place)]
        self._before = {target: target.exists() for target in (link.resolve() for link in found)}
        self._data, self._originals = data, {home for folder in jobs if (home := _original(folder)) is not None}

    def is_shared(self, link: Path) -> bool:
        """Whether the data folder is a copy of one in which the same link leads to the same place; also where nobody
        knows, as in the folders of a WebUI."""
        if not self._originals:
            return False
        if not link.is_relative_to(self._data):
            return True
        inside = link.relative_to(self._data)
        return any((home / inside).resolve() == link.resolve() for home in self._originals)

    def left(self) -> list[Path]:
        """What they led to that is not gone; also on a disk that is away."""
        return [target for target, was_there in self._before.items() if not was_there or _holds_something(target)]


def _original(job: Path) -> Path | None:
    """The data folder of which the one with this job is a copy."""
    if not is_copied(job):
        return None
    payload = json.loads((job / JOB_FILE).read_text(encoding="utf-8"))["payload"]
    return Path(payload.get("training", payload)["weights_folder"]).parent


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.exists()
