"""Pictures that are made several at a time, fewer where the graphics card has less room than was thought."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from personal_avatar.errors import OutOfVram
from personal_avatar.naming import named

R = TypeVar("R")


def in_batches(items: Sequence[Any] | np.ndarray, together: int, made: Callable[[Any], R]) -> list[R]:
    """What `made` answers to slices of `items`, so many at a time; where the card has no room for a slice, half as many
    from then on. Raises `OutOfVram` where it has none for one."""
    found: list[R] = []
    at = 0
    while at < len(items):
        part = items[at : at + together]
        full: list[OutOfVram] = []
        with noticing(full):
            found.append(made(part))
            at += len(part)
        if full and len(part) == 1:
            raise full[0]
        together = max(1, len(part) // 2) if full else together
    return found


@contextmanager
def noticing(full: list[OutOfVram]) -> Iterator[None]:
    """A want of room on the card ends what is within, and is put into `full`; then what was held there is free again,
    which it is not as long as the library's own error is known to somebody."""
    from personal_avatar.training.compute import release

    try:
        yield
    except (RuntimeError, OutOfVram) as error:
        told = named(error)
        if not isinstance(told, OutOfVram):
            raise
        full.append(OutOfVram(told.message, told.hint))
    if full:
        release()
