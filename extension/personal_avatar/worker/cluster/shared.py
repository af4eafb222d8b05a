"""Files that many jobs need (checkpoints, networks that find faces), kept on a machine of a cluster by their hash.

Nothing here tells of a person. What was not used for longest goes when there is more than the limit; a part of a file
whose sender is gone goes in any case.
"""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from personal_avatar.storage import files_below, sha256_of
from personal_avatar.worker.cluster.parcels import ARRIVING, Note

FOLDERS_VARIABLE = "PERSONAL_AVATAR_CHECKPOINTS"
CACHE_VARIABLE = "PERSONAL_AVATAR_NODE_CACHE_GB"
CACHE_GB = 100.0


class SharedFiles:
    """`folder`: ours. `known`: folders of this machine in which such files may lie under their own names. `lease_s`:
    whoever sends a file and was silent for longer is gone."""

    def __init__(
        self, folder: Path, known: Iterable[Path] = (), most_bytes: float = CACHE_GB * 1e9, lease_s: float = math.inf
    ) -> None:
        self._folder, self._known, self._most_bytes, self._lease_s = folder, tuple(known), most_bytes, lease_s

    @classmethod
    def of_this_machine(cls, folder: Path, lease_s: float) -> SharedFiles:
        """With the folders that $PERSONAL_AVATAR_CHECKPOINTS names, and as many GB as the other variable allows."""
        named = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
        most = float(os.environ.get(CACHE_VARIABLE) or CACHE_GB) * 1e9
        return cls(folder, [Path(name) for name in named if name], most, lease_s)

    def place(self, sha256: str) -> Path:
        return self._folder / sha256

    def find(self, note: Note) -> Path | None:
        """Where a file of that content lies here, verified; a damaged copy of ours is removed."""
        own = self.place(note.sha256)
        if _is(own, note):
            os.utime(own)
            return own
        own.unlink(missing_ok=True)
        name = note.path.rpartition("/")[2]
        return next((path for path in self._named(name) if _is(path, note)), None)

    def _named(self, name: str) -> list[Path]:
        return [path for folder in self._known for path in files_below(folder) if path.name == name]

    def lend(self, note: Note, target: Path) -> None:
        """The file under the name that a job wants, without a copy where the disk can do that.

        Raises `FileNotFoundError` when it is not here.
        """
        source = self.find(note)
        if source is None:
            raise FileNotFoundError(f"{note.path} is not on this machine.")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)

    def make_room(self, wanted_bytes: int) -> None:
        """Remove what was not used for longest until so much more fits below the limit. Parts of files that others
        are sending count, and stay."""
        self._give_up_parts()
        found = self._found()
        held = sum(stat.st_size for stat in found.values())
        for path in sorted(found, key=lambda path: found[path].st_mtime):
            if held + wanted_bytes <= self._most_bytes:
                return
            if not _is_part(path):
                held -= found[path].st_size
                path.unlink(missing_ok=True)

    def _give_up_parts(self) -> None:
        oldest = time.time() - self._lease_s
        for path, stat in self._found().items():
            if _is_part(path) and stat.st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _found(self) -> dict[Path, os.stat_result]:
        """All that lies in our folder; what is complete, or removed, while we look is left out."""
        found = {}
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError):
                found[path] = path.stat()
        return found


def _is_part(path: Path) -> bool:
    return path.name.endswith(ARRIVING)


def _is(path: Path, note: Note) -> bool:
    return path.is_file() and path.stat().st_size == note.size and sha256_of(path) == note.sha256
