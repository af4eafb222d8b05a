"""The worker, tied to the process that started it: when that one is gone, so is the work.

A job that runs on a machine of a cluster belongs to an actor there; nobody else would end it.
"""

from __future__ import annotations

import os
import sys

from personal_avatar.jobs import process
from personal_avatar.worker.main import main

if __name__ == "__main__":
    process.tie(os.getppid())
    sys.exit(main(sys.argv[1:]))
