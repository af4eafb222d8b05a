"""One at a time across processes: a lock that the system releases when its holder dies, however it dies."""
from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from personal_avatar.errors import PipFailed
from personal_avatar.storage import try_lock

_POLL_S = 0.2


@contextmanager
def turn(file: Path, patience_s: float) -> Iterator[None]:
    """Hold `file` exclusively; raises `PipFailed` when another process keeps it for longer than `patience_s`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as handle:
        deadline = time.monotonic() + patience_s
        while not try_lock(handle.fileno()):
            if time.monotonic() > deadline:
                raise PipFailed(
                    f"Another WebUI has been installing for more than {patience_s:.0f} s.",
                    "Wait until it is ready, then start this one again.",
                )
            time.sleep(_POLL_S)
        yield
