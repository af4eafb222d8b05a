"""Looks after the process of a running job: who ignores a wish to end is ended, who stands still is told of."""
from __future__ import annotations

import logging
import time
from pathlib import Path

from personal_avatar.jobs import endings, process
from personal_avatar.jobs.account import Account, read_on
from personal_avatar.jobs.control import CANCEL, PAUSE, Control
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.wording import text

CANCEL_GRACE_S = 600.0  # a step, the scoring and the saving may take as long
GONE_GRACE_S = 10.0
LOOK_S = 2.0
SILENT_S = 900.0
SILENT_OF = {"compile": 7200.0}  # stages in which nothing can be told: ten minutes and more on a processor
log = logging.getLogger(__name__)


def patience_s(stage: str) -> float:
    """How long nothing may be heard of a job in that stage before it counts as standing still."""
    return SILENT_OF.get(stage, SILENT_S)


class Watch:
    """Over one process, by its id and what names it for good. All ages by a clock that nobody sets."""

    def __init__(self, folder: Path, pid: int | None, since: float | None) -> None:
        self._folder, self._pid, self._since = folder, pid, since
        self._control = Control(folder)
        self._asked_at: float | None = None
        self._looked_at = self._heard_at = time.monotonic()
        self._heard_bytes, self._account = -1, Account()
        self._halted = self._silent = False
        self.killed = False

    def look(self) -> None:
        """To be called again and again while the process runs."""
        now = time.monotonic()
        self._end_when_ignored(now)
        if now - self._looked_at >= min(LOOK_S, SILENT_S):
            self._looked_at = now
            self._see_whether_halted()
            self._listen(now)

    def _end_when_ignored(self, now: float) -> None:
        """A job that is deleted while it runs has to end as well."""
        gone = not endings.is_there(self._folder)
        if not gone and not self._control.asked(CANCEL):
            self._asked_at = None
            return
        self._asked_at = self._asked_at or now
        if now - self._asked_at > (GONE_GRACE_S if gone else CANCEL_GRACE_S):
            self.killed = True
            process.kill(self._pid, self._since)

    def _see_whether_halted(self) -> None:
        """A halted process hears no wish: whoever wants it to end or to pause lets it go on first."""
        halted = process.stopped(self._pid, self._since)
        if halted and (self._asked_at is not None or self._control.asked(PAUSE)):
            process.wake(self._pid, self._since)
            halted = False
        if halted != self._halted:
            self._halted = halted
            self._tell(text("log.halted" if halted else "log.on_again"))

    def _listen(self, now: float) -> None:
        """Tell once when no event has come for long, and the process was not halted."""
        size = self._size()
        if size != self._heard_bytes:
            self._heard_bytes, self._heard_at, self._silent = size, now, False
        elif not self._silent and not self._halted and now - self._heard_at > SILENT_S:
            patience = patience_s(self._stage())
            if now - self._heard_at > patience:
                self._tell(text("log.silent", number=f"{patience / 60:.0f}"))
                self._silent, self._heard_bytes = True, self._size()

    def _stage(self) -> str:
        try:
            self._account = read_on(self._folder, self._account)
        except OSError as error:
            log.warning("%s: its events cannot be read: %s", self._folder.name, error)
        return self._account.stage

    def _size(self) -> int:
        try:
            return (self._folder / EVENTS_FILE).stat().st_size
        except OSError:
            return 0

    def _tell(self, message: str) -> None:
        log.warning("%s: %s", self._folder.name, message)
        try:
            EventWriter(self._folder)(Log(message, aside=True))
        except OSError as error:
            log.warning("This could not be told: %s", error)
