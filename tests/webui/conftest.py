"""Servers and a browser for the tests in a real WebUI: `make test-webui`, with WEBUI_DIR where it is installed."""
from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.webui.webui_data import SUBJECT, end_workers, make_data_folder, training
from tests.webui.webui_families import make_families_folder
from tests.webui.webui_identity import make_identity_folder
from tests.webui.webui_server import REPOSITORY, Server, webui_folder, webui_python

if TYPE_CHECKING:
    from tests.webui.webui_page import WebuiPage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = Path(__file__).parent
    for item in items:
        if ours in item.path.parents:
            item.add_marker(pytest.mark.webui)
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _webui_is_there() -> None:
    if not webui_python(webui_folder()).is_file():
        pytest.skip(f"no WebUI with a venv at {webui_folder()}; set WEBUI_DIR")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with this working tree as the extension. Trainings outlive a WebUI, but not the tests."""
    folder = make_data_folder(tmp_path_factory.mktemp("webui") / "data", extension=REPOSITORY)
    yield folder
    end_workers(folder)


@pytest.fixture(scope="session")
def server(data: Path) -> Iterator[Server]:
    """The WebUI with the extension, started by its launcher so that install.py runs; shared by the tests."""
    with Server(data, prepare=True, wait_s=900) as running:
        yield running


@pytest.fixture(scope="session")
def avatar(server: Server) -> dict[str, Any]:
    """An avatar trained over HTTP: its model document, with the finished job as `job`."""
    accepted = server.post("/personal-avatar/v1/models/train", training("Sample", steps=200, score_pictures=4))
    assert accepted.status_code == 202, accepted.text
    job = server.wait_job(accepted.json()["training_job_id"], wait_s=1800)
    assert job["state"] == "succeeded", job["error"]
    model = server.get(f"/personal-avatar/v1/models/{job['model_id']}").json()
    return {**model, "job": job}


@pytest.fixture(scope="session")
def portraits(server: Server, avatar: dict[str, Any]) -> dict[str, Any]:
    """A finished job of 6 portraits, during which the WebUI made a picture of its own."""
    before = server.txt2img("a portrait of a man")["images"]
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": SUBJECT, "num_images": 6, "seed": 5, "settings": {"steps": 12},
    })
    assert accepted.status_code == 202, accepted.text
    meanwhile: list[list[str]] = []
    visitor = threading.Thread(target=lambda: meanwhile.append(server.txt2img("a portrait of a man")["images"]))
    visitor.start()
    job = server.wait_job(accepted.json()["generation_job_id"])
    visitor.join()
    assert job["state"] == "succeeded", job["error"]
    return {**job, "before": before, "meanwhile": meanwhile[0]}


@pytest.fixture(scope="session")
def families_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with miniatures of every kind of checkpoint."""
    folder = make_families_folder(tmp_path_factory.mktemp("families") / "data")
    yield folder
    end_workers(folder)


@pytest.fixture(scope="session")
def families(families_data: Path) -> Iterator[Server]:
    """A WebUI without its page, with all those checkpoints, set up for training."""
    with Server(families_data, flags=("--nowebui",), prepare=True, wait_s=900) as running:
        yield running


@pytest.fixture(scope="session")
def identity_data(tmp_path_factory: pytest.TempPathFactory, weights_folder: Path) -> Path:
    """A data folder with miniatures of InstantID and FaceID and of the checkpoints that they are for."""
    models = weights_folder.parent / "insightface" / "buffalo_s"
    return make_identity_folder(tmp_path_factory.mktemp("identity") / "data", models)


@pytest.fixture(scope="session")
def identity(identity_data: Path) -> Iterator[Server]:
    """A WebUI that can put people into pictures; with its page, because plots know our axes only then."""
    with Server(identity_data, prepare=True, wait_s=900) as running:
        yield running


@pytest.fixture()
def page(server: Server, tmp_path: Path) -> Iterator[WebuiPage]:
    """The WebUI's page in headless Chromium; skipped where there is no browser."""
    with opened_page(server, tmp_path) as opened:
        yield opened


@contextmanager
def opened_page(server: Server, folder: Path) -> Iterator[WebuiPage]:
    """The page of any server, with the browser's profile in `folder`."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from tests.browser import chrome
    from tests.webui.webui_page import WebuiPage

    if chrome.missing():
        pytest.skip(chrome.missing())
    with chrome.chrome(folder / "profile", "en", (1300, 1100)) as driver:
        opened = WebuiPage(driver, server.url)
        opened.open()
        yield opened
        server.settle()
