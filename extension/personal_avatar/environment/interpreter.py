"""A Python that is not ours to change: its packages and their versions, and pip in it."""
from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.environment.pip_errors import named_failure

NETWORK_TIMEOUT_S = 20
NETWORK_RETRIES = 1
# A version that pip accepts in a constraint (PEP 440, roughly); others cannot be held and are watched only.
_PUBLIC_VERSION = re.compile(r"^[0-9][0-9a-zA-Z.!+_-]*$")

_LIST_PACKAGES = """
import importlib.metadata, json, re, sys
sys.path = [folder for folder in sys.path if folder]
found = {}
for distribution in importlib.metadata.distributions():
    name = distribution.metadata["Name"]
    if name:
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version or "")
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Planned:
    """A package that pip would install; `name` in its normal form (lower case, hyphens)."""

    name: str
    version: str

    @property
    def word(self) -> str:
        return f"{self.name}=={self.version}"


def normal(name: str) -> str:
    """The form in which packages are compared: `Pillow_Heif` -> `pillow-heif`."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Interpreter:
    """One Python executable, asked and served by child processes only."""

    def __init__(self, executable: Path) -> None:
        self.executable = executable

    def versions(self) -> dict[str, str]:
        """Every package that it sees: normal name -> version."""
        answer = subprocess.run(
            [str(self.executable), "-c", _LIST_PACKAGES], capture_output=True, text=True, env=_environment(), check=True
        )
        found: dict[str, str] = json.loads(answer.stdout.splitlines()[-1])
        return found

    def plan(self, requirement: str, held: dict[str, str]) -> list[Planned]:
        """What pip would install for `requirement` while everything in `held` keeps its version; changes nothing.

        Raises `WouldMove` when that is impossible, `PipFailed` for everything else.
        """
        with tempfile.TemporaryDirectory(prefix="personal-avatar-") as folder:
            report = Path(folder, "report.json")
            self._install(["--dry-run", "--report", str(report), *_held_words(held, Path(folder)), requirement])
            items = json.loads(report.read_text(encoding="utf-8"))["install"]
        return [Planned(normal(item["metadata"]["name"]), item["metadata"]["version"]) for item in items]

    def install(self, planned: Sequence[Planned], held: dict[str, str]) -> None:
        """Install exactly what was planned, without looking for dependencies again."""
        with tempfile.TemporaryDirectory(prefix="personal-avatar-") as folder:
            self._install(["--no-deps", *_held_words(held, Path(folder)), *_exactly(planned)])

    def put_back(self, versions: Sequence[Planned]) -> None:
        """Install these versions over whatever is there now."""
        self._install(["--no-deps", "--ignore-installed", *_exactly(versions)])

    def uninstall(self, names: Sequence[str]) -> None:
        self._pip(["uninstall", "--yes", *names])

    def install_into(self, folder: Path, words: Sequence[str]) -> None:
        """Install `words` (requirements, or -r FILE) into a folder of its own, without their dependencies."""
        self._install(["--no-deps", "--upgrade", "--target", str(folder), *words])

    def install_alone(self, folder: Path, words: Sequence[str]) -> None:
        """The same with all that they depend on, for a process that sees the folder before everything else."""
        self._install(["--upgrade", "--target", str(folder), *words])

    def _install(self, words: Sequence[str]) -> None:
        network = ["--timeout", str(NETWORK_TIMEOUT_S), "--retries", str(NETWORK_RETRIES)]
        self._pip(["install", "--only-binary", ":all:", "--no-input", *network, *_index_words(), *words])

    def _pip(self, words: Sequence[str]) -> None:
        command = [str(self.executable), "-m", "pip", *words, "--disable-pip-version-check"]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=_environment())
        if done.returncode != 0:
            raise named_failure(f"{done.stdout}\n{done.stderr}", words)


def _held_words(held: dict[str, str], folder: Path) -> list[str]:
    file = folder / "held.txt"
    lines = [f"{name}=={version}" for name, version in sorted(held.items()) if _PUBLIC_VERSION.match(version)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return ["--constraint", str(file)]


def _exactly(planned: Sequence[Planned]) -> list[str]:
    return [item.word for item in planned]


def _index_words() -> list[str]:
    """The WebUI's own variable for another package index."""
    index = os.environ.get("INDEX_URL", "")
    return ["--index-url", index] if index else []


def _environment() -> dict[str, str]:
    """Ours without what would lead pip or the child to another place."""
    misleading = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_CONSTRAINT", "PIP_REQUIREMENT")
    return {key: value for key, value in os.environ.items() if key not in misleading} | {"PIP_USER": "0"}
