"""What the optimisers need besides torch; torch itself is not loaded here."""
from __future__ import annotations

from dataclasses import dataclass

from personal_avatar.errors import InvalidSettings
from personal_avatar.problems import refused

_REMEDY = {"name": "optimiser", "value": "adamw"}


@dataclass(frozen=True)
class Needs:
    """`package`: as pip calls it; `module`: as Python does; `card`: whether it runs on graphics cards only."""

    package: str
    module: str
    card: bool = False


OF_OPTIMISERS = {
    "adamw8bit": Needs("bitsandbytes", "bitsandbytes", card=True),
    "prodigy": Needs("prodigyopt", "prodigyopt"),
    "lion": Needs("lion-pytorch", "lion_pytorch"),
    "schedulefree": Needs("schedulefree", "schedulefree"),
}


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
