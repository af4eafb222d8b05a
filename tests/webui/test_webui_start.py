"""The WebUI starts with the extension, is as quick as before and does what it did before."""
from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from tests.webui.webui_data import make_data_folder
from tests.webui.webui_server import Server, webui_folder, webui_python

PROMPT = "a soft 3d portrait of a woman with long red hair, green shirt, blue background, smiling"


@pytest.fixture(scope="module")
def plain_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same WebUI without the extension."""
    return make_data_folder(tmp_path_factory.mktemp("plain") / "data", extension=None)


def test_health_names_the_loaded_checkpoint(server: Server) -> None:
    health = server.get("/personal-avatar/v1/health")
    assert health.status_code == 200, health.text
    assert health.json()["host"] == "webui"
    assert health.json()["checkpoint"].startswith("base.safetensors [")


def test_scripts_of_others_are_listed_and_run_as_before(server: Server) -> None:
    scripts = {script["name"] for script in server.get("/sdapi/v1/script-info").json()}
    assert {"refiner", "seed"} <= scripts
    answer = server.post("/sdapi/v1/txt2img", {
        "prompt": PROMPT, "steps": 2, "width": 64, "height": 64,
        "alwayson_scripts": {"Seed": {"args": [3, False, -1, 0, 0, 0]}},
    })
    assert answer.status_code == 200, answer.text


def test_nothing_of_ours_is_reported_as_an_error_at_start(server: Server) -> None:
    start = server.log().partition("Startup time: ")[0]
    reports = ("Error loading script", "Error executing callback", "Error running install.py", "could not be")
    assert [report for report in reports if report in start] == []


def test_one_seed_gives_the_same_picture_with_and_without_the_extension(server: Server, plain_data: Path) -> None:
    ours = server.txt2img(PROMPT)["images"][0]
    with Server(plain_data) as plain:
        theirs = plain.txt2img(PROMPT)["images"][0]
    assert base64.b64decode(ours) == base64.b64decode(theirs)


def test_it_runs_without_the_page(data: Path) -> None:
    with Server(data, flags=("--nowebui",)) as server:
        assert server.get("/personal-avatar/v1/health").json()["status"] == "ok"
        assert server.get("/personal-avatar/v1/styles").json()["styles"]
        assert server.txt2img(PROMPT)["images"]


def test_the_start_takes_hardly_longer(data: Path, plain_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not asserted: a busy machine would make it lie. Processor time is told too, which lies less."""
    lines = []
    for _ in range(3):
        for name, folder in (("without", plain_data), ("with", data)):
            with Server(folder) as server:
                profile = server.get("/internal/profile-startup").json()
                ours = {part: round(spent, 2) for part, spent in profile["records"].items() if "personal" in part}
                lines.append(f"{name}: {profile['total']:.1f} s, processor {server.processor_s():.1f} s, ours {ours}")
    with capsys.disabled():
        print("", *lines, sep="\n")  # noqa: T201
    assert len(lines) == 6


def test_the_environment_is_as_it_was(server: Server) -> None:
    command = [str(webui_python(webui_folder())), "-m", "pip", "check"]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "personal" not in check.stdout.lower()
