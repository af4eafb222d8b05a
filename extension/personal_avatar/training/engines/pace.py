"""How often an engine tells how far it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

PROGRESS_EVERY_S = 0.5


@dataclass
class Pace:
    """Not more often than a page can show."""

    last_s: float = 0.0

    def is_due(self, always: bool = False) -> bool:
        """Whether so much time has passed since it was due last; `always`: it is, whenever that was."""
        now = time.monotonic()
        if not always and now - self.last_s < PROGRESS_EVERY_S:
            return False
        self.last_s = now
        return True
