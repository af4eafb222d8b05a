"""What the optimisers need besides torch; torch itself is not loaded here."""
from __future__ import annotations

from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import refused
from personal_avatar.training.planning.optimiser_facts import ADAMW, OPTIMISERS

_REMEDY = {"name": "optimiser", "value": ADAMW}
OF_OPTIMISERS = {name: known for name, known in OPTIMISERS.items() if known.package}


def cardless(optimiser: str) -> InvalidSettings:
    """No graphics card is there to be used."""
    return refused("problem.card", "remedy.set", word=optimiser, **_REMEDY)


def lacking(optimiser: str, command: str) -> InvalidSettings:
    """Its package is not where trainings run; `command` installs it there."""
    package = OF_OPTIMISERS[optimiser].package
    return refused("problem.library", "remedy.library", word=optimiser, package=package, command=command, **_REMEDY)


def broken(optimiser: str, cause: str) -> InvalidSettings:
    """Its package is there, and cannot be loaded; `cause`: one line."""
    package = OF_OPTIMISERS[optimiser].package
    return refused("problem.library.broken", "remedy.set", word=optimiser, package=package, cause=cause, **_REMEDY)
