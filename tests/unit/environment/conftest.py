from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_wheels import Place, new_environment, write_wheel


@pytest.fixture(scope="session")
def pristine_environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "venv"
    new_environment(folder)
    return folder


@pytest.fixture()
def place(pristine_environment: Path, tmp_path: Path) -> Place:
    """An environment in which `colours` 1.0 and `shapes` 1.0 are installed."""
    venv, wheels, data = tmp_path / "venv", tmp_path / "wheels", tmp_path / "data"
    shutil.copytree(pristine_environment, venv, symlinks=True)
    wheels.mkdir()
    found = Place(venv / "bin" / "python", wheels, data)
    write_wheel(wheels, "colours", "1.0")
    write_wheel(wheels, "shapes", "1.0", requires=("colours<2",))
    found.pip("install", "-q", "shapes")
    return found
