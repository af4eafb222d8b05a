"""What the user and the host want of a job whose work is done elsewhere."""

from __future__ import annotations

from pathlib import Path

from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, YIELD, Control, PauseTaken
from personal_avatar.jobs.events import EventWriter, Parked
from personal_avatar.jobs.kept import JOB_FILE, STATE_FOLDER
from personal_avatar.training import storing

PASSED_ON = (CANCEL, DISCARD, PAUSE)


class Heeding:
    """The job in `folder`. The graphics card of this machine is not used, so that it is given away at once."""

    def __init__(self, folder: Path, emit: EventWriter, control: Control) -> None:
        self.folder, self.emit, self.control = folder, emit, control
        self._parked = False

    def wishes(self) -> list[str]:
        """Those that the work itself has to heed. A job whose folder is gone was deleted."""
        if not (self.folder / JOB_FILE).exists():
            return [CANCEL, DISCARD]
        return [wish for wish in PASSED_ON if self.control.asked(wish)]

    def look(self) -> None:
        """Answer the host. To be called often."""
        asked = self.control.asked(YIELD)
        if asked != self._parked:
            self._parked = asked
            self.emit(Parked(asked, 0.0))

    def stop_before_start(self) -> None:
        """While there is no work yet that could heed them. Raises `Cancelled`, `PauseTaken`."""
        self.look()
        self.control.check()
        if self.control.asked(PAUSE):
            raise PauseTaken(self.kept_step())

    def kept_step(self) -> int:
        """Of the complete state that lies here; 0 without one."""
        facts = storing.facts_of(self.folder / STATE_FOLDER)
        return int(facts["step"]) if facts else 0
