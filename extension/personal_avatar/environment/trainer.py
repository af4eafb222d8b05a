"""The trainer environment: a folder of newer diffusers, transformers, peft that only training sees, before the WebUI's.

`<data>/trainer/packages-<key>/` holds them, `<data>/trainer/trainer.json` says which folder is the good one. The key
follows from the list of packages and the Python they are for: no interrupted or outdated folder passes for a good one.
Nothing is copied of torch, numpy or Pillow: the child runs on the WebUI's own Python and finds them there.
"""
from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.environment import places, record
from personal_avatar.environment.interpreter import Interpreter
from personal_avatar.errors import NotFitting, PipFailed, TrainerMissing
from personal_avatar.texts import text

if TYPE_CHECKING:
    from personal_avatar.host import TrainerPython

FOLDER_NAME = "trainer"
STATE_NAME = "trainer.json"
PART = "trainer environment"
EXTENSION = Path(__file__).absolute().parents[3]
LOCK = EXTENSION / "requirements" / "trainer.txt"
PROBE = Path(__file__).with_name("probe.py")
_ROUNDS = 3


def locked_lines(lock: Path) -> list[str]:
    """A list of packages, without remarks: `name==version`, ...; empty where there is no such file."""
    written = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    return [line for line in (one.partition("#")[0].strip() for one in written) if line]


def locked_names(lock: Path) -> list[str]:
    """Names of the packages in a list of `name==version` lines."""
    return [line.partition("==")[0].strip() for line in locked_lines(lock)]


def key(lock: Path) -> str:
    """Changes with the list of packages and with the Python that runs us."""
    python = f"{sys.implementation.cache_tag} {platform.machine()} {sys.platform}"
    return hashlib.sha256(lock.read_bytes() + python.encode()).hexdigest()[:12]


def is_built(data: Path, lock: Path = LOCK) -> bool:
    built = state(data)
    return built.get("key") == key(lock) and packages_folder(data, lock).is_dir()


def find(data: Path, lock: Path = LOCK) -> TrainerPython:
    """How to start the worker; raises `TrainerMissing` with the reason that the installation recorded.

    Looks in the WebUI's own data path too: install.py puts it there when it cannot know of --avatar-data-dir.
    """
    from personal_avatar.host import TrainerPython

    for place in (data, places.data_folder(EXTENSION, (), Path.cwd())):
        if is_built(place, lock):
            packages = packages_folder(place, lock)
            return TrainerPython(Path(sys.executable), (("PYTHONPATH", str(packages)),), packages)
    raise TrainerMissing(*_reason(data, lock))


def build(data: Path, interpreter: Interpreter, say: Callable[[str], None], lock: Path = LOCK) -> dict[str, Any]:
    """Make the trainer environment; the answer is what trainer.json then holds. Raises `InstallError`, `DiskFull`."""
    packages = packages_folder(data, lock)
    shutil.rmtree(packages, ignore_errors=True)
    packages.mkdir(parents=True)
    say(f"Personal Avatar: installing {len(locked_names(lock))} packages for training into {packages.parent}")
    interpreter.install_into(packages, ["-r", str(lock)])
    _complete(packages, interpreter, lock)
    found = probe(packages, interpreter.executable, lock, with_imports=True)
    if found["problems"]:
        raise NotFitting(
            f"The packages for training do not work with this WebUI: {'; '.join(found['problems'][:3])}.",
            "Update the WebUI to 1.10.1 with its own torch, then start it again.",
        )
    built = {"key": key(lock), **{name: found.get(name, "") for name in ("python", "torch", "versions")}}
    _write_state(data, built)
    _remove_older(data, packages)
    return built


def probe(packages: Path, python: Path, lock: Path = LOCK, *, with_imports: bool) -> dict[str, Any]:
    """Ask a child of the trainer environment; probe.py says what. Raises `PipFailed` when it does not answer."""
    command = [str(python), str(PROBE), "import" if with_imports else "list", *locked_names(lock)]
    environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        sentence = f"The trainer environment does not start: {last}."
        raise PipFailed(sentence, "Delete the folder and start the WebUI again to build it anew.") from None
    return answer


def _complete(packages: Path, interpreter: Interpreter, lock: Path) -> None:
    """Add small packages that the listed ones require and that this WebUI has not, or has too old."""
    for _ in range(_ROUNDS):
        lacking = probe(packages, interpreter.executable, lock, with_imports=False)["unsatisfied"]
        if not lacking:
            return
        interpreter.install_into(packages, lacking)
    raise PipFailed(f"The packages for training lack {', '.join(lacking)}.", "Update the WebUI, then start it again.")


def _reason(data: Path, lock: Path) -> tuple[str, str | None]:
    problem = record.read(data).problems.get(PART)
    if problem is not None:
        return text("trainer.not_yet", cause=problem["message"]), problem["hint"]
    built = state(data)
    if built and built.get("key") != key(lock):
        said = text("trainer.older", python=built.get("python"), now=platform.python_version())
        return said, text("remedy.restart")
    return text("trainer.none"), None


def packages_folder(data: Path, lock: Path = LOCK) -> Path:
    return data / FOLDER_NAME / f"packages-{key(lock)}"


def state(data: Path) -> dict[str, Any]:
    """What the last successful build wrote: key, python, torch, versions; empty when there was none."""
    try:
        found = json.loads((data / FOLDER_NAME / STATE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write_state(data: Path, built: dict[str, Any]) -> None:
    file = data / FOLDER_NAME / STATE_NAME
    temporary = file.with_name(STATE_NAME + ".new")
    temporary.write_text(json.dumps(built, indent=1), encoding="utf-8")
    os.replace(temporary, file)


def _remove_older(data: Path, keep: Path) -> None:
    """Every other folder of packages but the newest: a training that is still running may be using that one."""
    others = [folder for folder in (data / FOLDER_NAME).glob("packages-*") if folder != keep]
    for folder in sorted(others, key=lambda item: item.stat().st_mtime)[:-1]:
        shutil.rmtree(folder, ignore_errors=True)
