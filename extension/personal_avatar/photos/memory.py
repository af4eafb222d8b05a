"""What was seen in photos a moment ago, so that a decision about one of them does not cost a look at all."""
from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.domain import PhotoChoice
from personal_avatar.photos.examine import Choices, Examined, examine
from personal_avatar.photos.settings import PhotoSettings

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

MOST = 300
Key = tuple[str, int, int, str, str]


class Memory:
    """Of the last photos, about 50 kB each, never on disk. Thread-safe."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._seen: OrderedDict[Key, Examined] = OrderedDict()
        self._erasures = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._seen)

    def examined(self, path: Path, analyser: FaceAnalyser, settings: PhotoSettings, choices: Choices) -> Examined:
        """What `examine` answers, from memory when the file, the settings and the chosen face are those of before."""
        key = _key(path, analyser, settings)
        with self._lock:
            found, erasures = self._seen.get(key) if key is not None else None, self._erasures
        if found is not None and found.verdict.photo is not None:
            choice = choices.get(found.verdict.photo.sha256, PhotoChoice())
            if choice.face == found.verdict.choice.face:
                return replace(found, verdict=replace(found.verdict, choice=choice))
        fresh = examine(path, analyser, settings, choices)
        if key is not None:
            self._keep(key, fresh, erasures)
        return fresh

    def forget(self, where: Path | None = None) -> None:
        """What was seen in a file, or below a folder; None: everything; also what is just being looked at."""
        with self._lock:
            self._erasures += 1
            for key in [key for key in self._seen if where is None or Path(key[0]).is_relative_to(where)]:
                del self._seen[key]

    def _keep(self, key: Key, examined: Examined, erasures: int) -> None:
        with self._lock:
            if erasures != self._erasures:
                return
            self._seen[key] = examined
            self._seen.move_to_end(key)
            while len(self._seen) > self._most:
                self._seen.popitem(last=False)


def _key(path: Path, analyser: FaceAnalyser, settings: PhotoSettings) -> Key | None:
    """None for a file that is not there."""
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return str(path), stat.st_mtime_ns, stat.st_size, analyser.name, settings.json(sort_keys=True)
