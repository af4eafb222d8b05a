"""The WebUI's own interrogators: listed, and never downloaded unasked."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.api.house import GOOD, encoded
from tests.webui.webui_data import make_data_folder
from tests.webui.webui_server import REPOSITORY, Server

TAGGERS, CAPTION = "/personal-avatar/v1/photos/taggers", "/personal-avatar/v1/photos/caption"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data_folder(tmp_path_factory.mktemp("captions") / "data", extension=REPOSITORY)


@pytest.fixture(scope="module")
def webui(folder: Path) -> Iterator[Server]:
    with Server(folder, flags=("--nowebui",)) as running:
        yield running


def test_interrogators_are_listed_with_what_they_lack(webui: Server) -> None:
    found = {row["name"]: row for row in webui.get(TAGGERS).json()["taggers"]}
    assert "896 MB, BSD-3-Clause" in found["webui-blip"]["missing"]
    assert "about 640 MB, MIT" in found["deepdanbooru"]["missing"]
    assert found["template"]["ready"] and not found["deepdanbooru"]["ready"]


@pytest.mark.parametrize("name", ["webui-blip", "deepdanbooru"])
def test_nothing_is_downloaded_unasked(webui: Server, folder: Path, name: str) -> None:
    before = sorted(folder.rglob("*.pt*"))
    answer = webui.post(CAPTION, {"images": [encoded(GOOD[0])], "tagger": name})
    assert answer.status_code == 503 and answer.json()["code"] == "WEIGHTS_MISSING"
    assert "img2img" in answer.json()["hint"] and "https://" in answer.json()["hint"]
    assert sorted(folder.rglob("*.pt*")) == before
