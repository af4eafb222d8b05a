"""What a browser really says of the page that asks: our own works, one of another site changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.browser.chrome import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What any page can do without asking: send JSON under no content type, and open a connection. An answer of another site
# cannot be read and has the status 0.
ATTEMPTS = """
const [address, done] = arguments;
const sent = fetch(address + "personal-avatar/v1/photos/lint", {
    method: "POST", mode: MODE, body: new Blob(['{"captions": {"a": "b"}}']),
});
const joined = new Promise(told => {
    const socket = new WebSocket(address.replace("http", "ws") + "queue/join");
    socket.onmessage = () => told("joined");
    socket.onerror = () => told("refused");
});
Promise.all([sent, joined]).then(([answer, word]) => done([answer.status, word]));
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """An empty page on another port."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<title>Elsewhere</title>", encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "site")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f":{server.server_address[1]}/"
    server.shutdown()


def test_only_our_own_page_is_heard(open_page: Callable[..., Page], url: str, elsewhere: str) -> None:
    driver = open_page().driver
    assert driver.execute_async_script(ATTEMPTS.replace("MODE", "'cors'"), url) == [200, "joined"]
    for name in ("localhost", "127.0.0.1"):  # another site, and the same site on another port
        driver.get(f"http://{name}{elsewhere}")
        assert driver.execute_async_script(ATTEMPTS.replace("MODE", "'no-cors'"), url) == [0, "refused"]
