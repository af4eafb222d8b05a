"""The wishes for the worker's own job; a job whose folder is gone was deleted, which is a wish too."""

from __future__ import annotations

from pathlib import Path

from personal_avatar.errors import Cancelled
from personal_avatar.jobs import endings
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.problems import stated


class FolderControl(Control):
    """`Control` that also ends the work when the job's folder has disappeared."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._job_folder = folder
        self._interrupted = False

    def interrupt(self) -> None:
        """This process, not the job, is to end: to those who look it is a wish to pause, which dies with us."""
        self._interrupted = True

    def asked(self, wish: str) -> bool:
        """Who deleted the job wants its end, and nothing of it to be kept."""
        if wish in (CANCEL, DISCARD) and not endings.is_there(self._job_folder):
            return True
        return (wish == PAUSE and self._interrupted) or super().asked(wish)

    def check(self) -> None:
        if not endings.is_there(self._job_folder):
            raise stated(Cancelled, "ending.deleted")
        super().check()

    def ask(self, wish: str) -> None:
        """Never makes the folder of a deleted job anew."""
        if endings.is_there(self._job_folder):
            super().ask(wish)
