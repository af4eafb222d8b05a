"""What install.py does at every start of the WebUI: look, and only when something is missing, install it.

Two parts, each on its own: packages added to the WebUI's environment, and the trainer environment. A part that fails is
recorded with the reason and never stops the WebUI; the tab and `doctor` show the record.
"""
from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from personal_avatar.environment import additions, places, record, trainer
from personal_avatar.environment.additions import Addition
from personal_avatar.environment.interpreter import Interpreter
from personal_avatar.environment.record import InstallRecord
from personal_avatar.environment.turn import turn
from personal_avatar.errors import AvatarError, WouldMove, named

PATIENCE_S = 900.0
Say = Callable[[str], None]


def main(extension: Path, say: Say) -> None:
    """Called by install.py. `extension`: our folder as the WebUI names it. Problems are said, not raised."""
    data = places.data_folder(extension, places.launch_words(), Path.cwd())
    try:
        bring_up_to_date(data, say)
    except (AvatarError, OSError) as error:
        problem = named(error)
        say(f"Personal Avatar: {problem}")


def bring_up_to_date(
    data: Path, say: Say, wanted: tuple[Addition, ...] = additions.ADDITIONS, lock: Path = trainer.LOCK
) -> None:
    """Install what is missing; silent and without a child process when nothing is."""
    if not missing_additions(data, wanted) and trainer.is_built(data, lock):
        return
    with turn(_lock_of_environment(), PATIENCE_S), turn(data / "install.lock", PATIENCE_S):
        interpreter = Interpreter(Path(sys.executable))
        for addition in missing_additions(data, wanted):
            _attempt(data, addition.requirement, say, partial(_add, addition, interpreter, say))
        if not trainer.is_built(data, lock):
            _attempt(data, trainer.PART, say, partial(_build, data, interpreter, say, lock))


def missing_additions(data: Path, wanted: tuple[Addition, ...]) -> list[Addition]:
    """Additions to try now: not there, and not refused before for the very packages that are there."""
    absent = additions.missing(wanted)
    refused = _refused(data) if absent else set()
    return [addition for addition in absent if addition.requirement not in refused]


def _refused(data: Path) -> set[str]:
    known = record.read(data)
    parts = {part for part, problem in known.problems.items() if problem.get("code") == WouldMove.code}
    return parts if parts and known.environment == _fingerprint() else set()


def _fingerprint() -> str:
    """Of the packages that are installed around us."""
    found = sorted(f"{item.metadata['Name']}=={item.version}" for item in importlib.metadata.distributions())
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def _attempt(data: Path, part: str, say: Say, work: Callable[[], dict[str, str]]) -> None:
    """Do one part and record how it ended."""
    known = record.read(data)
    try:
        changed = known.solved(part, work())
    except (AvatarError, OSError) as error:
        problem = named(error)
        say(f"Personal Avatar: {part}: {problem}")
        changed = known.with_problem(part, problem)
    record.write(data, InstallRecord(changed.added, changed.problems, _fingerprint()))


def _add(addition: Addition, interpreter: Interpreter, say: Say) -> dict[str, str]:
    came = additions.add(addition.requirement, interpreter)
    listed = ", ".join(f"{item.name} {item.version}" for item in came)
    say(f"Personal Avatar: added {listed} ({addition.purpose}); no version that was there has changed")
    return {item.name: item.version for item in came}


def _build(data: Path, interpreter: Interpreter, say: Say, lock: Path) -> dict[str, str]:
    started = time.monotonic()
    built = trainer.build(data, interpreter, say, lock)
    say(
        f"Personal Avatar: training is ready after {time.monotonic() - started:.0f} s "
        f"(diffusers {built['versions'].get('diffusers', '')}, torch {built['torch']} of the WebUI)"
    )
    return {}


def _lock_of_environment() -> Path:
    """One lock for everyone who changes this Python's packages; outside of it, so that it stays as it was."""
    name = hashlib.sha256(sys.prefix.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"personal-avatar-{name}.lock")
