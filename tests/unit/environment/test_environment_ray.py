"""Ray in a folder of its own: real pip, wheels of a few bytes, no network."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar.environment import ray_packages
from personal_avatar.errors import InstallError, InvalidSettings
from tiny_wheels import write_wheel


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "wheels"
    folder.mkdir()
    write_wheel(folder, "messages", "1.0")
    write_wheel(folder, "ray", "2.99.0", requires=("messages",))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.slow
def test_it_comes_with_what_it_needs_and_the_old_one_stays_until_then(wheels: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert ray_packages.findings(tmp_path) == []
    folder = ray_packages.install(tmp_path, said.append, "2.99.0")
    assert {"ray.py", "messages.py"} <= {path.name for path in folder.iterdir()}
    assert said[-1] == f"Ray 2.99.0 is in {folder}"
    with pytest.raises(InstallError):
        ray_packages.install(tmp_path, said.append, "3.0.0")
    assert ray_packages.installed(tmp_path) == "2.99.0"
    assert [finding.found for finding in ray_packages.findings(tmp_path)] == [f"version 2.99.0, in {folder}"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("version", ["latest", "2.9 --index-url x", "-r other.txt", "2"])
def test_what_is_no_version_never_reaches_pip(tmp_path: Path, version: str) -> None:
    with pytest.raises(InvalidSettings, match="no version"):
        ray_packages.install(tmp_path, lambda line: None, version)
