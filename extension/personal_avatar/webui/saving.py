"""Our pictures under names of their own: the WebUI's settings may ask for names that come again, and for the former
file to be replaced, and then what is told of one picture would show another."""
from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from personal_avatar.webui import callbacks

LONGEST = 240  # characters of a path; the WebUI cuts what is much longer, and with it the number at its end
BESIDE = (".jpg", ".txt")  # what the WebUI may write beside a picture, under the same name


def apart(p: Any) -> AbstractContextManager[None]:
    """What is saved of the processing `p` within the block replaces no file."""

    def name(saved: Any) -> None:
        if saved.p is p:
            saved.filename = str(free(Path(saved.filename)))

    return callbacks.added("before_image_saved", name)


def free(wanted: Path) -> Path:
    """`wanted`, with a number behind its name where that is taken."""
    stem = wanted.stem[: max(1, LONGEST - len(str(wanted.parent)) - len(wanted.suffix))]
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for path in (wanted.with_name(name + wanted.suffix) for name in names) if not _is_taken(path))


def _is_taken(path: Path) -> bool:
    return any(path.with_name(path.stem + suffix).exists() for suffix in {path.suffix, *BESIDE})
