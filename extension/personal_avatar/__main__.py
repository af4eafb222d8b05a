"""`python -m personal_avatar` is `personal-avatar`."""
from __future__ import annotations

import sys

from personal_avatar.cli import main

if __name__ == "__main__":
    sys.exit(main())
