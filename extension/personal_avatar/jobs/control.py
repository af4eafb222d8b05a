"""Wishes of the user that a running job looks for between two steps: small files in `control/`.

Files and not signals: they exist on every system, survive a restart, and can be looked at.
"""
from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from personal_avatar.errors import Cancelled
from personal_avatar.jobs import process, whereabouts
from personal_avatar.jobs.kept import CONTROL_FOLDER
from personal_avatar.problems import stated

CANCEL = "cancel"
DISCARD = "discard"
PAUSE = "pause"
YIELD = "yield-gpu"
AWAITED = "awaited"  # by a program that runs the job as soon as there is room; no wish of the job's work


class PauseTaken(Exception):
    """Raised by the work itself, between two steps, when its state lies complete in `state/`."""

    def __init__(self, step: int) -> None:
        super().__init__(f"paused at step {step}")
        self.step = step


class Control:
    """The wishes for one job folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / CONTROL_FOLDER

    def ask(self, wish: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / wish).touch()

    def withdraw(self, wish: str) -> None:
        path = self._folder / wish
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    def asked(self, wish: str) -> bool:
        """Whether anybody asks for it; those who `join`ed and are gone are forgotten here."""
        path = self._folder / wish
        if not path.is_dir():
            return path.exists()
        return any(self._still_asks(asker) for asker in _inside(path))

    def join(self, wish: str) -> Path:
        """Ask for a wish that others may have at the same time: it holds until each has left, or its process is gone.

        Returns what `leave` takes. Raises `FileNotFoundError` when the job was deleted.
        """
        me = os.getpid()
        named = f"{me}_{process.started_at(me):.2f}_{uuid.uuid4().hex[:8]}.{whereabouts.here()}"
        asker = self._folder / wish / named
        while True:
            self._folder.mkdir(exist_ok=True)
            try:
                asker.parent.mkdir(exist_ok=True)
                whereabouts.keep(asker, os.open(asker, os.O_CREAT | os.O_WRONLY))
                return asker
            except (FileNotFoundError, FileExistsError):  # somebody withdrew the wish for all just now
                continue

    @staticmethod
    def leave(asker: Path) -> None:
        """End what `join` began; harmless when it has ended already."""
        whereabouts.let_go(asker)  # first: a network folder keeps what is open under a hidden name
        asker.unlink(missing_ok=True)

    @contextmanager
    def joined(self, wish: str) -> Iterator[None]:
        """Within: `join`, and `leave` at the end."""
        asker = self.join(wish)
        try:
            yield
        finally:
            self.leave(asker)

    def _still_asks(self, asker: Path) -> bool:
        try:
            pid, since, rest = asker.name.split("_")
            there = process.holds(asker, int(pid), float(since), rest.partition(".")[2])
        except ValueError:
            there = False
        if not there:
            with suppress(OSError):  # another one may take it away
                self.leave(asker)
        return there

    def check(self) -> None:
        """Raise `Cancelled` when the user wants the job to end."""
        if self.asked(CANCEL):
            raise stated(Cancelled, "ending.cancelled", "" if self.asked(DISCARD) else "ending.hint.finished")


def _inside(folder: Path) -> list[Path]:
    """Without hidden files: those of a network folder are gone, and cannot be removed yet."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
