"""Ray, for trainings on a cluster: installed on request, into a folder that only the process that carries jobs sees.

Nothing of the WebUI is touched. The version must be that of the cluster: Ray refuses any other.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from personal_avatar.environment.finding import Finding, ok
from personal_avatar.environment.interpreter import Interpreter
from personal_avatar.environment.trainer import EXTENSION
from personal_avatar.errors import InvalidSettings
from personal_avatar.host import RAY_PACKAGES

LIST = EXTENSION / "requirements" / "ray.txt"
_VERSION = re.compile(r"\d+(\.\d+){1,3}([a-z]+\d+)?")
Say = Callable[[str], None]


def install(data: Path, on_line: Say, version: str = "") -> Path:
    """Have Ray of that version (else the one in requirements/ray.txt) in a folder below `data`; what was there is
    replaced when the new one is complete. Raises `InvalidSettings`, `InstallError`."""
    if version and not _VERSION.fullmatch(version):
        raise InvalidSettings(f"{version!r} is no version.", "Ask the cluster for its own: `ray --version`.")
    words = [f"ray[client]=={version}"] if version else ["-r", str(LIST)]
    folder, part = data / RAY_PACKAGES, data / f".{RAY_PACKAGES}.part"
    shutil.rmtree(part, ignore_errors=True)
    on_line(f"Installing Ray {version} into {folder}".replace("  ", " "))
    try:
        Interpreter(Path(sys.executable)).install_alone(part, words)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    on_line(f"Ray {installed(data)} is in {folder}")
    return folder


def installed(data: Path) -> str:
    """The version in our folder, "" when there is none."""
    found = sorted((data / RAY_PACKAGES).glob("ray-*.dist-info"))
    return found[-1].name.removeprefix("ray-").removesuffix(".dist-info") if found else ""


def findings(data: Path) -> list[Finding]:
    """For `doctor`: nothing while nobody has asked for it."""
    version = installed(data)
    return [ok("ray", f"version {version}, in {data / RAY_PACKAGES}")] if version else []
