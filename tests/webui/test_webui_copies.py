"""The extension installed twice: as a clone and, behind it, from a ZIP."""
from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webui.conftest import opened_page
from tests.webui.webui_data import linked_data
from tests.webui.webui_server import REPOSITORY, Server

SHIPPED = ("extension", "javascript", "scripts", "preload.py", "install.py", "style.css")
SECOND = "personal-avatar-main"


@pytest.fixture(scope="module")
def twice(data: Path) -> Iterator[Server]:
    """A WebUI with both."""
    folder = linked_data(data, "twice")
    second = folder / "extensions" / SECOND
    second.mkdir()
    for name in SHIPPED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, second / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, second / name)
    with Server(folder) as server:
        yield server


def test_one_copy_works_and_the_other_is_named_in_the_log(twice: Server) -> None:
    log = twice.log()
    assert "conflicting option" not in log and "Traceback" not in log
    assert "is installed more than once" in log and f"Remove {twice.data / 'extensions' / SECOND}" in log
    scripts = twice.get("/sdapi/v1/scripts").json()
    assert scripts["txt2img"].count("personal avatar") == 1
    assert twice.get("/personal-avatar/v1/health").status_code == 200


def test_the_page_has_one_tab_that_works_and_tells_of_the_other_copy(
    twice: Server, tmp_path: Path
) -> None:
    with opened_page(twice, tmp_path) as page:
        page.show_ours()
        assert page.webui_tabs().count("Personal Avatar") == 1
        assert len(page.all("#personal_avatar_root")) == 1 and SECOND in page.text("header")
        page.shot("webui-twice")
        severe = [entry["message"] for entry in page.driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in severe if "ERR_NAME_NOT_RESOLVED" not in message] == []
