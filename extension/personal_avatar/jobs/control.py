"""Wishes of the user that a running job looks for between two steps: small files in `control/`.

Files and not signals: they exist on every system, survive a restart, and can be looked at.
"""
from __future__ import annotations

from pathlib import Path

from personal_avatar.errors import Cancelled

CANCEL = "cancel"
DISCARD = "discard"
PAUSE = "pause"
YIELD = "yield-gpu"


class PauseTaken(Exception):
    """Raised by the work itself, between two steps, when its state lies complete in `state/`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"paused at step {step}")
        self.step = step


class Control:
    """The wishes for one job folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "control"

    def ask(self, wish: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / wish).touch()

    def withdraw(self, wish: str) -> None:
        (self._folder / wish).unlink(missing_ok=True)

    def asked(self, wish: str) -> bool:
        return (self._folder / wish).exists()

    def check(self) -> None:
        """Raise `Cancelled` when the user wants the job to end."""
        if self.asked(CANCEL):
            kept = "" if self.asked(DISCARD) else "What was finished until then is kept."
            raise Cancelled("The job was cancelled.", kept)
