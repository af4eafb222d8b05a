"""One after the other: what must not happen at the same time, neither in this program nor in two on one data folder."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from personal_avatar.errors import NotWritable, WrongState
from personal_avatar.problems import stated
from personal_avatar.storage import locked

LIMIT_S = 60.0  # for another program: photos are copied, or somebody is erased


@contextmanager
def in_turn(lock: threading.Lock, path: Path) -> Iterator[None]:
    """Held by one thread that has this lock, and by one program that has the file. Raises `WrongState` when another
    program holds it for longer than `LIMIT_S`, `NotWritable` when the file cannot be opened."""
    with lock, ExitStack() as held:
        try:
            held.enter_context(locked(path, LIMIT_S))
        except TimeoutError as error:
            raise stated(WrongState, "error.WRONG_STATE.turn", "error.WRONG_STATE.turn.hint") from error
        except OSError as error:
            raise stated(
                NotWritable, "failure.unwritable", "error.NOT_WRITABLE.turn.hint", place=path, cause=error.strerror,
            ) from error
        yield
