"""JSON documents that are kept for the user: that one cannot be read does not mean that there is none."""
from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from personal_avatar.errors import NotReadable
from personal_avatar.problems import stated
from personal_avatar.storage import write_bytes

log = logging.getLogger(__name__)


def kept(path: Path) -> dict[str, Any] | None:
    """The document in a file, also as editors write it that put a mark before UTF-8; None where there is no file.

    Raises `ValueError` for a damaged one, `NotReadable` where it cannot be read now.
    """
    with reading(path):
        try:
            document = json.loads(path.read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            return None
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    return document


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What the system refuses gets its name."""
    try:
        yield
    except OSError as error:
        raise stated(NotReadable, "failure.not_read", path=path, cause=error.strerror or error) from error


def put_aside(path: Path) -> Path:
    """Copy a damaged file before it is written over, beside the copies of earlier times; where the copy lies.

    Raises `NotReadable`."""
    with reading(path):
        content = path.read_bytes()
    names = (f"{path.name}.damaged{f'-{number}' if number > 1 else ''}" for number in count(1))
    aside = next(one for one in map(path.with_name, names) if not one.exists() or _holds(one, content))
    write_bytes(aside, content)
    log.warning("%s was damaged. As it was it lies in %s.", path, aside)
    return aside


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content
