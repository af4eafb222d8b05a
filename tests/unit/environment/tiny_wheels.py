"""Wheels of a few bytes, a throw-away environment, and a WebUI start in it: real pip, no network."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path

from personal_avatar.environment.trainer import key

EXTENSION = Path(__file__).resolve().parents[3] / "extension"
START = """
import json, sys
from pathlib import Path
sys.path.insert(0, {extension!r})
from personal_avatar.environment import setup
from personal_avatar.environment.additions import Addition
wanted = tuple(Addition(requirement, (module,), "for a test") for requirement, module in json.loads({wanted!r}))
try:
    setup.bring_up_to_date(Path({data!r}), lambda message: sys.stdout.write(message + "\\n"), wanted, Path({lock!r}))
finally:
    sys.stdout.write("children modules: " + str("personal_avatar.environment.pip_errors" in sys.modules) + "\\n")
"""


def write_wheel(
    folder: Path, name: str, version: str, *, requires: tuple[str, ...] = (), files: dict[str, str] | None = None
) -> Path:
    """A wheel with one module `name` (hyphens become underscores) that knows its version; `files`: path -> text."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    needs = [f"Requires-Dist: {requirement}" for requirement in requires]
    metadata = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needs]
    members = {
        f"{module}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(files or {}),
    }
    members[f"{info}/RECORD"] = "".join(f"{member},,\n" for member in [*members, f"{info}/RECORD"])
    path = folder / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, text in members.items():
            wheel.writestr(member, text)
    return path


@dataclass
class Place:
    """A throw-away environment with its wheels and data folder."""

    python: Path
    wheels: Path
    data: Path
    variables: dict[str, str] = field(default_factory=dict)

    def pip(self, *words: str) -> str:
        command = [str(self.python), "-m", "pip", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.environment()).stdout

    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        return {**kept, **offline, **self.variables}

    def versions(self) -> dict[str, str]:
        (site_packages,) = self.python.parents[1].glob("lib/python*/site-packages")
        return {item.metadata["Name"]: item.version for item in distributions(path=[str(site_packages)])}

    def start(self, *wanted: tuple[str, str], lock: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What install.py does at a start of the WebUI, with these (requirement, module) as the wanted additions."""
        given = lock or self.built_trainer()
        program = START.format(
            extension=str(EXTENSION), wanted=json.dumps(wanted), data=str(self.data), lock=str(given)
        )
        command = [str(self.python), "-c", program]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment(), timeout=120)

    def built_trainer(self) -> Path:
        """A list of no packages whose trainer environment is ready, for tests of the additions alone."""
        lock = self.data.parent / "nothing.txt"
        lock.write_text("# nothing\n")
        found = key(lock)  # the Python is the same
        (self.data / "trainer" / f"packages-{found}").mkdir(parents=True, exist_ok=True)
        (self.data / "trainer" / "trainer.json").write_text(json.dumps({"key": found, "versions": {}}))
        return lock

    def problems(self) -> dict[str, dict[str, str]]:
        found: dict[str, dict[str, str]] = json.loads((self.data / "install-report.json").read_text())["problems"]
        return found


def new_environment(folder: Path) -> Path:
    """A virtual environment with pip; the answer is its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / "bin" / "python"
