"""kohya-ss sd-scripts, the second engine for training: where it lies, which version it is, how it is installed.

It is installed on request only, at one commit that was tried with the packages of the trainer environment. Nothing of
the WebUI is touched: the few small packages that it needs besides go into a folder that only its own process sees.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from personal_avatar import commandline
from personal_avatar.environment import trainer
from personal_avatar.environment.finding import Finding, ok, warning
from personal_avatar.environment.interpreter import Interpreter
from personal_avatar.errors import AvatarError, EngineMissing, InstallError, NotFitting, PipFailed, TrainerMissing
from personal_avatar.texts import text

VARIABLE = "PERSONAL_AVATAR_SD_SCRIPTS"
FOLDER_NAME = "sd-scripts"
PACKAGES_NAME = "sd-scripts-packages"
SOURCE = "https://github.com/kohya-ss/sd-scripts.git"
COMMIT = "48d368fa557731ad0488c07304dfeba8c07910eb"  # 2026-02-16: release 0.10.1 and its first corrections
OLDEST = (0, 9, 0)  # the first with masks and with a floor for the cosine schedule,
OPTIONS, FLOOR = "library/train_util.py", "lr_scheduler_min_lr_ratio"  # which is declared here
NEEDED_FILES = (
    "train_network.py",
    "train_db.py",
    "train_textual_inversion.py",
    "sdxl_train.py",
    "sdxl_train_network.py",
    "sdxl_train_textual_inversion.py",
    OPTIONS,
    "networks/lora.py",
)
# Modules that its scripts import at once -> what pip is asked for; empty: too large or bound to torch, never ours.
MODULES = {
    "toml": "toml==0.10.2",
    "voluptuous": "voluptuous==0.15.2",
    "imagesize": "imagesize==1.4.1",
    "einops": "einops==0.7.0",
    "cv2": "opencv-python-headless==4.10.0.84",
    "torchvision": "",
}
_LACKING = (
    "import importlib.util, json, sys; "
    "print(json.dumps([name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]))"
)
_VERSION = re.compile(r"[Vv]ersion\W{0,2}(\d+\.\d+\.\d+)")
Say = Callable[[str], None]
Look = Callable[[Path, str], "SdScripts"]


@dataclass(frozen=True)
class SdScripts:
    """`folder` holds its scripts; `packages` what was installed for it (it may not exist); `version` "" if untold."""

    folder: Path
    packages: Path
    version: str = ""


def _how(data: Path) -> str:
    """To come by it, in this data folder."""
    return commandline.named_here(EngineMissing.default_hint, data)


def _missing(data: Path, key: str, **values: Any) -> EngineMissing:
    """`key` of what is said, behind "trainer."."""
    return EngineMissing(text(f"trainer.{key}", **values), _how(data))


def named_folder(configured: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """The folder that the variable names, else the setting; "" where neither does. Whole, as it is handed to a job,
    whose process stands in another folder."""
    named = environ.get(VARIABLE, "") or configured
    return str(Path(named).expanduser().absolute()) if named else ""


def find(data: Path, configured: str = "", environ: Mapping[str, str] = os.environ) -> SdScripts:
    """Where sd-scripts lies: $PERSONAL_AVATAR_SD_SCRIPTS, else the setting, else `<data>/sd-scripts`.

    Raises `EngineMissing` when it is nowhere, or when the folder that was named is not it or too old.
    """
    named = named_folder(configured, environ)
    folder = Path(named) if named else data / FOLDER_NAME
    if not folder.is_dir():
        raise _missing(data, "no_folder", folder=folder)
    lacking = [name for name in NEEDED_FILES if not (folder / name).is_file()]
    if lacking:
        raise _missing(data, "other_folder", folder=folder, file=lacking[0])
    version = read_version(folder)
    if _is_old(folder, version):
        oldest, key = ".".join(str(part) for part in OLDEST), "old" if version else "too_old"
        raise _missing(data, key, folder=folder, version=version, oldest=oldest)
    return SdScripts(folder, data / PACKAGES_NAME, version)


def _is_old(folder: Path, version: str) -> bool:
    """READMEs of its releases 0.6 to 0.8 tell no version, nor may those of copies: then by what it can do."""
    if version:
        return tuple(int(part) for part in version.split(".")) < OLDEST
    return FLOOR not in (folder / OPTIONS).read_text(encoding="utf-8", errors="replace")


def handed(data: Path, folder: str) -> SdScripts:
    """In a job: the `named_folder` of whoever asked for it, or where that is not here, `find`."""
    return find(data, folder, {}) if folder and Path(folder).is_dir() else find(data, folder)


def ready(data: Path, configured: str = "", look: Look = find) -> SdScripts:
    """What `look` finds, and everything that it imports is there. Raises `EngineMissing`."""
    found, lacking = look(data, configured), lacking_modules(data)
    if lacking:
        raise _missing(data, "lacks", folder=found.folder, modules=", ".join(lacking))
    return found


def is_ready(data: Path, configured: str = "") -> bool:
    """Whether `ready` would find it. Modules are asked for in a process of their own, but once only, until packages are
    installed for it or for the trainer."""
    try:
        find(data, configured)
        return not _lacking_since(data, _changed(data))
    except AvatarError:
        return False


@lru_cache(maxsize=4)
def _lacking_since(data: Path, changed: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(lacking_modules(data))


def _changed(data: Path) -> tuple[int, ...]:
    """When the folders that modules are found in were changed last."""
    folders = (data / PACKAGES_NAME, data / trainer.FOLDER_NAME, *(Path(path) for path in sys.path if path))
    return tuple(folder.stat().st_mtime_ns if folder.exists() else 0 for folder in folders)


def read_version(folder: Path) -> str:
    """The release that its README tells of first, "" when it tells none; there is no other place that says it."""
    readme = folder / "README.md"
    told = _VERSION.search(readme.read_text(encoding="utf-8", errors="replace")) if readme.is_file() else None
    return told[1] if told else ""


def install(data: Path, on_line: Say, source: str = SOURCE, commit: str = COMMIT) -> SdScripts:
    """Have sd-scripts and its packages below `data`; what is there, or named by the variable, is kept.

    Raises `InstallError` when it cannot be fetched, or needs what only the user can install.
    """
    folder = data / FOLDER_NAME
    if not os.environ.get(VARIABLE) and not all((folder / name).is_file() for name in NEEDED_FILES):
        _fetch(folder, on_line, source, commit)
    _install_packages(data, on_line)
    return find(data)


def _fetch(folder: Path, on_line: Say, source: str, commit: str) -> None:
    """One commit without its history, complete or not there."""
    if folder.exists():
        raise InstallError(f"{folder} is there but is not sd-scripts.", "Move it away and try again.")
    git = shutil.which("git")
    if git is None:
        raise InstallError("git is not installed.", f"Install it, or fetch {source} by hand into {folder}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".sd-scripts-", dir=folder.parent) as made:
        work = Path(made) / FOLDER_NAME
        on_line(f"Fetching sd-scripts {commit[:8]} from {source}")
        _git([git, "init", "--quiet", str(work)])
        _git([git, "-C", str(work), "fetch", "--quiet", "--depth", "1", source, commit])
        _git([git, "-C", str(work), "checkout", "--quiet", "--detach", "FETCH_HEAD"])
        os.replace(work, folder)
    on_line(f"sd-scripts is in {folder}")


def _git(command: Sequence[str]) -> None:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise InstallError(f"sd-scripts could not be fetched: {last}", "Check the network connection and try again.")


def _install_packages(data: Path, on_line: Say) -> None:
    words = [MODULES[module] for module in lacking_modules(data)]
    if "" in words:
        raise NotFitting(
            "sd-scripts needs torchvision, which is not installed.",
            "Install the torchvision that belongs to your torch (pytorch.org tells which), then try again.",
        )
    if words:
        on_line(f"Installing {', '.join(words)} into {data / PACKAGES_NAME}")
        Interpreter(Path(sys.executable)).install_into(data / PACKAGES_NAME, words)


def lacking_modules(data: Path) -> list[str]:
    """Modules that sd-scripts imports and that the process of a training does not see. Raises `PipFailed`."""
    command = [sys.executable, "-c", _LACKING, *MODULES]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment(data))
    try:
        found: list[str] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise PipFailed(f"Python could not be asked for its modules: {last}", "See `personal-avatar doctor`.") from None
    return found


def environment(data: Path) -> dict[str, str]:
    """Variables for a process of sd-scripts that is started from here: the trainer's packages, then its own."""
    try:
        theirs = dict(trainer.find(data).environment)
    except TrainerMissing:  # standalone: everything is in our own environment
        theirs = {}
    return with_packages({**os.environ, **theirs}, data / PACKAGES_NAME)


def with_packages(variables: Mapping[str, str], packages: Path) -> dict[str, str]:
    """`variables` with `packages` after what PYTHONPATH names already; see `lacking_modules` for what is in it."""
    paths = [variables.get("PYTHONPATH", ""), str(packages)]
    return {**variables, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def findings(data: Path, configured: str = "", environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """For `doctor`: nothing while nobody has asked for this engine, else where it is or what is wrong."""
    asked = environ.get(VARIABLE) or configured or (data / FOLDER_NAME).exists()
    if not asked:
        return []
    try:
        found = find(data, configured, environ)
        lacking = lacking_modules(data)
    except AvatarError as error:
        return [warning("sd-scripts", error.message, error.hint)]
    if lacking:
        return [warning("sd-scripts", f"{found.folder}; it lacks {', '.join(lacking)}", _how(data))]
    return [ok("sd-scripts", f"version {found.version or 'unknown'}, in {found.folder}")]
