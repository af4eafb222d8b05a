"""Our own command line as a person can copy it into a terminal, and what runs apart from one."""
from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = "personal-avatar"
HOME_VARIABLE = "PERSONAL_AVATAR_HOME"
PACKAGES = Path(__file__).resolve().parents[1]  # the folder that goes on sys.path
BELOW = ("weights", "models")  # folders of the data folder that downloads go to


def apart() -> dict[str, Any]:
    """For `Popen`: what a child needs so that signals and the end of our terminal are not its own. On Windows that is
    a console that nobody sees: whoever closes the window of ours ends all that share it."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def default_data_folder() -> Path:
    """$PERSONAL_AVATAR_HOME, or the place that the system has for data of a program."""
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE]).expanduser().resolve()
    if sys.platform == "win32":
        parent = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        parent = Path.home() / "Library" / "Application Support"
    else:
        parent = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return parent / "personal-avatar"


def of(*words: str, data: Path | None = None) -> str:
    """`personal-avatar` with these words. `data`: the data folder that is meant; None: nobody knows. Where no such
    program is to be found, as in the WebUI, it is this Python that is told to run us."""
    elsewhere = data is not None and data.resolve() != default_data_folder().resolve()
    told = [*words, *(["--data", str(data)] if elsewhere else [])]
    if shutil.which(PROGRAM):
        return line([PROGRAM, *told])
    told_here = line([sys.executable, "-m", "personal_avatar", *told])
    if sys.platform == "win32":
        return f'set "PYTHONPATH={PACKAGES}" && {told_here}'
    return f"PYTHONPATH={shlex.quote(str(PACKAGES))} {told_here}"


def doctor(*words: str, data: Path | None = None) -> str:
    """`personal-avatar doctor` with words such as "--fetch", "drawn"."""
    return of("doctor", *words, data=data)


def named_here(sentence: str, data: Path | None) -> str:
    """A sentence with the commands in it as they are called here, for the data folder where one is meant."""

    def as_here(found: re.Match[str]) -> str:
        words = shlex.split(found[1])
        return found[0] if "--data" in words else f"`{of(*words, data=data)}`"

    return re.sub(rf"`{PROGRAM} ([^`]+)`", as_here, sentence)


def fetching(folder: Path, *names: str) -> str:
    """The command that downloads these weights into `folder`; without names what everybody needs."""
    return doctor("--fetch", *names, data=_data_folder_of(folder))


def _data_folder_of(folder: Path) -> Path | None:
    """The data folder of one that downloads go to: of `<data>/weights`, `<data>/models/identity` and the like. None:
    it is no such folder."""
    return next((place.parent for place in (folder, folder.parent) if place.name in BELOW), None)


def line(words: Sequence[str]) -> str:
    """Words of a command as the shell of the system takes them."""
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
