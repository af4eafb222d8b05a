"""Installed as a user does, by a clone into extensions/, the WebUI's environment only gains packages."""
from __future__ import annotations

import subprocess
from pathlib import Path

from tests.webui.webui_data import make_data_folder
from tests.webui.webui_server import REPOSITORY, Server, webui_folder, webui_python


def packages() -> dict[str, str]:
    """Name -> version of what is in the WebUI's environment."""
    command = [str(webui_python(webui_folder())), "-m", "pip", "list", "--format", "freeze"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return dict(line.split("==", 1) for line in lines if "==" in line)


def test_a_clone_installs_itself_and_changes_no_version(tmp_path: Path) -> None:
    data = make_data_folder(tmp_path / "data", extension=None)
    clone = data / "extensions" / "personal-avatar"
    subprocess.run(["git", "clone", "-q", str(REPOSITORY), str(clone)], check=True)
    before = packages()
    with Server(data, prepare=True, wait_s=900) as server:
        health = server.get("/personal-avatar/v1/health").json()
        first = server.log()
    after = packages()
    assert health["host"] == "webui"
    assert {name: after.get(name) for name in before} == before
    assert (data / "personal-avatar" / "trainer" / "trainer.json").is_file()
    assert "training is ready" in first
    with Server(data, prepare=True, wait_s=300) as server:
        assert "Personal Avatar: " not in server.log(), "the second start is not silent"
        extensions = server.get("/sdapi/v1/extensions").json()
    ours = next(extension for extension in extensions if extension["name"] == "personal-avatar")
    assert ours["enabled"] and ours["remote"] == str(REPOSITORY)
