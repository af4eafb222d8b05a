"""The worker, tied to the process that started it: when that one is gone, so is the work.

A job that runs on a machine of a cluster belongs to an actor there; nobody else would end it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from personal_avatar.jobs import process
from personal_avatar.worker.main import main

LOOK_S = 1.0


def tie(parent: int) -> None:
    """End this process at once when `parent` has ended."""
    since = process.started_at(parent)

    def watch() -> None:
        while os.getppid() == parent and process.alive(parent, since):
            time.sleep(LOOK_S)
        os.kill(os.getpid(), signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

    threading.Thread(target=watch, name="tied", daemon=True).start()


if __name__ == "__main__":
    tie(os.getppid())
    sys.exit(main(sys.argv[1:]))
