"""What whoever asks for a job wants besides the job: to be told of its end, to find it again by a key of its own.

The doors say it around a call of a use case, and each job that is made meanwhile notes it; the use cases themselves
have nothing to do with it.
"""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Asking:
    """`callback_url`: who is told when the job has ended, "" for nobody. `key`: the caller's name for the request, the
    same when it is sent again, "" for none. `priority`: higher ones are taken first."""

    callback_url: str = ""
    key: str = ""
    priority: int = 0


NOTHING = Asking()
_ASKING: ContextVar[Asking] = ContextVar("asking", default=NOTHING)


def asking() -> Asking:
    """What is wanted of jobs that are made here and now."""
    return _ASKING.get()


@contextmanager
def asked(wanted: Asking) -> Iterator[None]:
    """Jobs that are made in this thread within the block are made so."""
    token = _ASKING.set(wanted)
    try:
        yield
    finally:
        _ASKING.reset(token)
