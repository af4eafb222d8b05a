"""Looking at the photos of requests takes the host's time: one request at a time."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from personal_avatar.errors import QueueFull
from personal_avatar.studio import Studio


@contextmanager
def one_check(studio: Studio) -> Iterator[None]:
    """Raises `QueueFull` while photos are checked for another caller."""
    if not studio.checking.acquire(blocking=False):
        raise QueueFull("Photos of another request are being checked.", "Try again in a few seconds.")
    try:
        yield
    finally:
        studio.checking.release()
