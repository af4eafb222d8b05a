"""Libraries that trainings can do without: whether they are where trainings run, and how they come there.

bitsandbytes is not installed by itself: it has 240 MB, is of use on graphics cards only, and which version works
depends on the torch that is there.
"""
from __future__ import annotations

import importlib.metadata
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar import commandline
from personal_avatar.environment.interpreter import normal
from personal_avatar.environment.trainer import LOCK, locked_lines

if TYPE_CHECKING:
    from personal_avatar.host import TrainerPython

EIGHT_BIT = "bitsandbytes"
FOR_OLDER_TORCH = "bitsandbytes==0.45.5"  # 0.46 breaks torch 2.1
OLDER_TORCH = re.compile(r"2\.[0-3]\b")


def has_package(trainer: TrainerPython, module: str) -> bool:
    """Whether trainings can use a library: it lies in their environment, or in that of this process."""
    paths = dict(trainer.environment).get("PYTHONPATH", "").split(os.pathsep)
    return any(path and (Path(path) / module).is_dir() for path in paths) or _is_here(module)


def _is_here(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # a stub of another extension, which does not say where it is from
        return True


def installing(trainer: TrainerPython, package: str) -> str:
    """The command that puts a package where trainings find it, and moves none that is there."""
    there = ["--no-deps", "--target", str(trainer.packages)] if trainer.packages else []
    return commandline.line([str(trainer.executable), "-m", "pip", "install", *there, _requirement(package)])


def _requirement(package: str) -> str:
    """The version that is known to work; else the newest."""
    if package == EIGHT_BIT:
        return FOR_OLDER_TORCH if OLDER_TORCH.match(_version_of_torch()) else EIGHT_BIT
    return next((line for line in locked_lines(LOCK) if normal(line.partition("==")[0]) == package), package)


def _version_of_torch() -> str:
    """"" where it tells none."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""
