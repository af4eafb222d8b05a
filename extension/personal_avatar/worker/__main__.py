"""`python -m personal_avatar.worker <job folder>`: do the work of one job and tell about it in its events."""

from __future__ import annotations

import sys

from personal_avatar.worker.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
