"""Downloads that the page starts: from a server on this machine, as real as any."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ldm_layout import STANDARD, header_only, shapes_of
from personal_avatar.jobs.events import EventWriter, Log
from personal_avatar.studio import Studio
from personal_avatar.studio.judges import FETCH_CLIP
from personal_avatar.ui import clip_download, possible
from personal_avatar.ui.fetching import Fetched, Fetching
from personal_avatar.ui.refusal import Refusal
from personal_avatar.weights.nouns import Weight
from personal_avatar.wording import text

from tests.unit.runs import finished_run
from tests.unit.ui.visitor import Visitor

pytestmark = pytest.mark.slow

BYTES = bytes(range(256)) * 12_000  # three chunks


class Server(ThreadingHTTPServer):
    """Serves BYTES; waits before the second half until `gate` is set."""

    gate = threading.Event()


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(BYTES) - begin))
        self.end_headers()
        half = max(begin, len(BYTES) // 2)
        self.wfile.write(BYTES[begin:half])
        self.wfile.flush()
        assert isinstance(self.server, Server) and self.server.gate.wait(30)
        self.wfile.write(BYTES[half:])

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answer) as server:
        server.gate = threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.gate.set()
        server.shutdown()


def weight(server: Server, sha256: str = hashlib.sha256(BYTES).hexdigest()) -> Weight:
    url = f"http://127.0.0.1:{server.server_port}/x"
    return Weight("x", "x.bin", sha256, len(BYTES), "MIT", url, "here", "tests", url=url)


def seen(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not found():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_download_tells_how_far_it_is_and_only_one_goes_on(server: Server, tmp_path: Path) -> None:
    fetching = Fetching()
    fetching.start([weight(server)], tmp_path)
    seen(lambda: 0 < fetching.state.done < len(BYTES))
    assert (fetching.state.name, fetching.state.total) == ("x", len(BYTES))
    with pytest.raises(Refusal, match="goes on"):
        fetching.start([weight(server)], tmp_path)
    server.gate.set()
    seen(lambda: fetching.state == Fetched())
    assert (tmp_path / "x.bin").read_bytes() == BYTES


def test_a_stopped_download_leaves_no_error_and_is_taken_up_again(server: Server, tmp_path: Path) -> None:
    fetching = Fetching()
    fetching.start([weight(server)], tmp_path)
    seen(lambda: fetching.state.done > 0)
    fetching.stop()
    server.gate.set()
    seen(lambda: not fetching.state.running)
    assert fetching.state.error is None and not (tmp_path / "x.bin").exists()
    begun = (tmp_path / "x.bin.part").stat().st_size
    assert 0 < begun < len(BYTES)
    fetching.start([weight(server)], tmp_path)
    seen(lambda: not fetching.state.running)
    assert (tmp_path / "x.bin").read_bytes() == BYTES


def test_a_download_that_fails_is_named_until_the_next_one(server: Server, tmp_path: Path) -> None:
    server.gate.set()
    fetching = Fetching()
    fetching.start([weight(server, "0" * 64)], tmp_path)
    seen(lambda: fetching.state.error is not None)
    assert fetching.state.error and fetching.state.error["code"] == "WEIGHTS_CORRUPT"
    fetching.start([weight(server)], tmp_path)
    seen(lambda: fetching.state == Fetched())


def test_the_page_fetches_what_was_agreed_to_and_can_stop_it(
    visit: Callable[..., Visitor], studio: Studio, server: Server, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(possible, "find", lambda name: weight(server))
    base = replace(studio.host.checkpoint(), path=header_only(tmp_path / "usual.safetensors", shapes_of(STANDARD)))
    monkeypatch.setattr(studio.host, "checkpoint", lambda: base)
    visitor = visit(key="f1" * 16)
    assert "x, 3.1 MB: tests. here. MIT" in visitor.text("one_possible")
    visitor.enter(one_agree=True)
    visitor.click("one_download")
    visitor.wait(lambda: "Downloading x: 1 of 3 MB" in visitor.text("one_fetching"))
    assert visitor.prop("one_stop", "visible") is True and visitor.prop("one_download", "visible") is False
    assert visitor.value("one_agree") is False and 'data-pa-busy="1"' in visitor.value("one_fetching")
    visitor.click("one_stop")
    server.gate.set()
    visitor.wait(lambda: visitor.text("one_fetching") == "")
    assert (studio.host.folders().identity_folders[0] / "x.bin.part").exists()


def test_what_judges_prompts_is_offered_below_a_run_that_lacked_it_in_words_and_with_a_button(
    visit: Callable[..., Visitor], studio: Studio, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = finished_run(studio)
    EventWriter(studio.jobs.folder(run))(Log(text("remark.no_clip", command=FETCH_CLIP)))
    monkeypatch.setattr(clip_download, "CLIP_B", replace(weight(server), file_name="clip/ViT-B-32.pt"))
    visitor = visit()
    told = visitor.text("create_progress")
    assert "that needs CLIP" in told and "doctor" not in told and "`" not in told
    assert "licence:" in told
    visitor.press("create_progress", "Agree to the licence and download")
    assert visitor.text("create_cancel_message") == ""
    server.gate.set()
    visitor.wait(lambda: "CLIP is here" in visitor.text("create_progress"))
    assert (studio.host.folders().identity_folders[0] / "clip" / "ViT-B-32.pt").read_bytes() == BYTES
