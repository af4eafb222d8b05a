"""By what a file is known again, without reading all of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

PARTS, PART_BYTES = 16, 1 << 20  # of a checkpoint that are looked at


def stamp(status: os.stat_result) -> tuple[int, int]:
    """Size in bytes, and when it was changed, in nanoseconds since 1970."""
    return status.st_size, status.st_mtime_ns


def stamp_of(path: Path) -> tuple[int, int] | None:
    """By which a file is told from another one of its name that came later; None where there is none."""
    try:
        return stamp(path.stat())
    except OSError:
        return None


def parts_of(path: Path | None) -> tuple[int, str] | None:
    """Size, and SHA-256 of parts from all over a file: to read all of a checkpoint would take as long as the start.
    None where there is none. Raises `OSError`."""
    if path is None or not path.is_file():
        return None
    size, digest = path.stat().st_size, hashlib.sha256()
    with path.open("rb") as file:
        for number in range(PARTS + 1):
            file.seek(max(0, size - PART_BYTES) * number // PARTS)
            digest.update(file.read(PART_BYTES))
    return size, digest.hexdigest()


@dataclass(frozen=True)
class Mark:
    """By which a file is known again: `stamp`, its size and time; where only the time is another, as after a backup was
    put back or a share mounted anew, `parts` of its content."""

    stamp: tuple[int, int] | None
    parts: tuple[int, str] | None

    @classmethod
    def of(cls, path: Path) -> Mark:
        return cls(stamp_of(path), parts_of(path))

    def is_on(self, path: Path) -> bool:
        """False, too, where the file cannot be read now."""
        now = stamp_of(path)
        if now is None or self.stamp is None or now == self.stamp:
            return now == self.stamp
        try:
            return now[0] == self.stamp[0] and self.parts is not None and parts_of(path) == self.parts
        except OSError:
            return False
