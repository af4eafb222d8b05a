from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ports import free_port

if TYPE_CHECKING:
    from tests.browser.chrome import Page

ROOT = Path(__file__).resolve().parents[2]
START = (
    "import sys; from pathlib import Path; from personal_avatar.standalone.app import serve; "
    "serve('127.0.0.1', int(sys.argv[1]), Path(sys.argv[2]))"
)


@pytest.fixture(scope="session")
def browser() -> None:
    """Skips, and says why, where there is nothing to test with."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    from tests.browser.chrome import missing

    if missing():
        pytest.skip(missing())


def _wait_for(url: str, child: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert child.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the app did not answer: " + log.read_text())


@contextmanager
def serving(folder: Path, weights: Path) -> Iterator[str]:
    """The app, served by a process of its own from `folder`/data; its address."""
    (folder / "data").mkdir(exist_ok=True)
    if not (folder / "data" / "weights").exists():
        (folder / "data" / "weights").symlink_to(weights, target_is_directory=True)
    port, log = free_port(), folder / "log.txt"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "extension"), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", START, str(port), str(folder / "data")],
            env=environment,
            stdout=output,
            stderr=output,
        )
        try:
            _wait_for(f"http://127.0.0.1:{port}/", child, log)
            yield f"http://127.0.0.1:{port}/"
        finally:
            child.terminate()
            child.wait(timeout=30)


@pytest.fixture(scope="session")
def url(browser: None, weights_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on an empty data folder."""
    with serving(tmp_path_factory.mktemp("served"), weights_folder) as address:
        yield address


@pytest.fixture
def open_page(url: str, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """`open_page("vi", (400, 800))`: the page in a fresh browser."""
    from tests.browser.chrome import Page, chrome

    with ExitStack() as stack:

        def opened(language: str = "en", size_px: tuple[int, int] = (1300, 1000)) -> Page:
            page = Page(stack.enter_context(chrome(tmp_path / f"profile-{language}", language, size_px)), url)
            page.open()
            return page

        yield opened
