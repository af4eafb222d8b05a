from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_wheels import Place, new_environment, write_wheel


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with such an environment as `place` and its wheels, to be copied."""
    folder = tmp_path_factory.mktemp("pristine")
    found = _place(folder)
    new_environment(folder / "venv")
    found.wheels.mkdir()
    write_wheel(found.wheels, "colours", "1.0")
    write_wheel(found.wheels, "shapes", "1.0", requires=("colours<2",))
    found.pip("install", "-q", "shapes")
    return folder


@pytest.fixture()
def place(pristine: Path, tmp_path: Path) -> Place:
    """An environment in which `colours` 1.0 and `shapes` 1.0 are installed."""
    for name in ("venv", "wheels"):
        shutil.copytree(pristine / name, tmp_path / name, symlinks=True)
    return _place(tmp_path)


def _place(folder: Path) -> Place:
    return Place(folder / "venv" / "bin" / "python", folder / "wheels", folder / "data")
