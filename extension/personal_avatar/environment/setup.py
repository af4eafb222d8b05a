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
from dataclasses import replace
from functools import partial
from pathlib import Path

from personal_avatar.environment import additions, places, record, trainer
from personal_avatar.environment.additions import Addition
from personal_avatar.environment.interpreter import Interpreter, Planned
from personal_avatar.environment.turn import turn
from personal_avatar.errors import AvatarError, NotFitting, WouldMove
from personal_avatar.naming import named

PATIENCE_S = 900.0
LASTING = (WouldMove.code, NotFitting.code)
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
    if not missing_additions(data, wanted, lock) and not misses_trainer(data, lock):
        return
    with turn(_lock_of_environment(), PATIENCE_S), turn(data / "install.lock", PATIENCE_S):
        interpreter = Interpreter(Path(sys.executable))
        to_add, to_build = missing_additions(data, wanted, lock), misses_trainer(data, lock)
        for addition in to_add:
            _attempt(data, addition.requirement, say, partial(_add, data, addition, interpreter, say), lock)
        if to_build:
            _attempt(data, trainer.PART, say, partial(_build, data, interpreter, say, lock), lock)


def missing_additions(data: Path, wanted: tuple[Addition, ...], lock: Path) -> list[Addition]:
    """Additions to try now: not there or cut short, and not found impossible before for the packages that are there."""
    unfinished = record.read(data).unfinished
    absent = [addition for addition in wanted if addition.requirement in unfinished or not addition.is_there]
    impossible = _impossible(data, lock) if absent else set()
    return [addition for addition in absent if addition.requirement not in impossible]


def misses_trainer(data: Path, lock: Path) -> bool:
    return not trainer.is_built(data, lock) and trainer.PART not in _impossible(data, lock)


def _impossible(data: Path, lock: Path) -> set[str]:
    """Parts that cannot succeed while the packages around us and our list stay what they are; told once, then quiet."""
    known = record.read(data)
    parts = {part for part, problem in known.problems.items() if problem.get("code") in LASTING}
    return parts if parts and known.environment == _fingerprint(lock) else set()


def _fingerprint(lock: Path) -> str:
    """Of the packages that are installed around us and of the trainer's list."""
    found = sorted(f"{item.metadata['Name']}=={item.version}" for item in importlib.metadata.distributions())
    return hashlib.sha256("\n".join([trainer.key(lock), *found]).encode()).hexdigest()[:16]


def _attempt(data: Path, part: str, say: Say, work: Callable[[], dict[str, str]], lock: Path) -> None:
    """Do one part and record how it ended."""
    try:
        came = work()
        changed = record.read(data).solved(part, came)
    except (AvatarError, OSError) as error:
        problem = named(error)
        say(f"Personal Avatar: {part}: {problem}")
        changed = record.read(data).with_problem(part, problem)
    record.write(data, replace(changed, environment=_fingerprint(lock)))


def _add(data: Path, addition: Addition, interpreter: Interpreter, say: Say) -> dict[str, str]:
    known = record.read(data)
    words = known.unfinished.get(addition.requirement)
    if words:
        say(f"Personal Avatar: finishing the installation of {', '.join(words)}")
        came = [Planned(*word.split("==")) for word in words]
        interpreter.put_back(came)
    else:
        came = additions.add(addition.requirement, interpreter, partial(_note_plan, data, addition.requirement))
    listed = ", ".join(f"{item.name} {item.version}" for item in came)
    say(f"Personal Avatar: added {listed} ({addition.purpose}); no version that was there has changed")
    return {item.name: item.version for item in came}


def _note_plan(data: Path, part: str, planned: list[Planned]) -> None:
    record.write(data, record.read(data).begun(part, [item.word for item in planned]))


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
