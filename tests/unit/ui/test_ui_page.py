from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.domain import Face
from personal_avatar.jobs.events import EventWriter, Progress, SampleMade, Score
from personal_avatar.standalone import app as standalone
from personal_avatar.standalone.app import UploadLimit
from personal_avatar.studio import Studio
from personal_avatar.ui import tab
from personal_avatar.ui.markup import attributes, box, duration, progress_bar
from personal_avatar.ui.story import thinned, told
from personal_avatar.ui.thumbs import square_around, thumbnail

from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]


def test_a_refresh_without_news_changes_nothing(visit: Visit) -> None:
    visitor = visit(key="a1" * 16)
    visitor.refresh()
    assert visitor.refresh() == 0


def test_only_what_an_event_asks_for_is_sent_to_the_server(client: TestClient) -> None:
    """Gradio would send all that a script answers, and asks it with what the whole page holds."""
    scripted = [one for one in client.get("/config").json()["dependencies"] if one["js"]]
    assert len(scripted) > 10
    for dependency in scripted:
        assert dependency["js"].endswith(f").slice(0, {len(dependency['inputs'])})")


def test_the_file_of_the_checkpoint_is_opened_once_while_it_stays_the_same(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened, really = studio.host.checkpoint().path, [], Path.open
    monkeypatch.setattr(Path, "open", lambda one, *how, **more: opened.append(one) or really(one, *how, **more))
    visitor = visit(key="a3" * 16)
    for changed_s in (1_000_000_000, 1_000_000_001):
        os.utime(path, (changed_s, changed_s))
        visitor.refresh()
        opened.clear()
        for _ in range(2):
            visitor.refresh()
        assert path not in opened
    os.utime(path, (1_000_000_002, 1_000_000_002))
    visitor.refresh()
    assert opened.count(path) == 2  # of its header, and of all of it for its checksum


def test_a_page_inside_a_hosts_page_can_be_built_more_than_once(studio: Studio) -> None:
    for _ in range(2):
        inner = tab.build(studio, send_to=lambda *parts: None)
        with gr.Blocks(analytics_enabled=False) as outer, gr.Tabs(), gr.TabItem("Personal Avatar"):
            inner.render()
        assert any(part.elem_id == "personal_avatar_root" for part in outer.blocks.values())


def test_a_host_in_trouble_is_shown_and_the_rest_goes_on(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise RuntimeError("the model is being moved")

    monkeypatch.setattr(studio.host, "checkpoint", broken)
    visitor = visit(key="a2" * 16)
    assert "the model is being moved" in visitor.text("train_what")
    assert "Nothing" in visitor.text("jobs") or "Training" in visitor.text("jobs")


def test_an_unexpected_error_becomes_a_named_box_without_a_trace(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(studio, "install_tiny", broken)
    visitor = visit(key="a3" * 16)
    visitor.click("tiny")
    assert "Something on this page went wrong" in visitor.text("train_message")
    assert "Traceback" not in visitor.value("train_message")


def test_the_page_is_found_without_our_key_and_with_a_strange_one(visit: Visit) -> None:
    for key in ("", "../../etc", "A" * 32):
        visitor = visit(key=key)
        visitor.click("check")
        assert "Too few photos" in visitor.text("photos_message")


# -- the app around it


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/").text
    head = page.replace(json.dumps("x"), "").split("<body", 1)[0]
    scripts = [part for part in head.split("<") if part.startswith(("script", "link"))]
    assert not [part for part in scripts if part.split(">")[0].count("://")]
    assert "maximum-scale" not in page
    assert client.get("/personal-avatar/page/style.css").status_code == 200


def test_every_script_of_the_extension_is_served_in_the_order_of_the_names(client: TestClient) -> None:
    served = re.findall(r'<script src="personal-avatar/page/([^"]+)" defer>', client.get("/").text)
    scripts = Path(__file__).resolve().parents[3] / "javascript"
    assert served == sorted(path.name for path in scripts.glob("*.js")) and served
    for name in served:
        answer = client.get(f"/personal-avatar/page/{name}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert answer.content == (scripts / name).read_bytes()
    assert client.get("/personal-avatar/page/other.js").status_code == 404


def test_files_of_the_machine_are_not_given_out(client: TestClient, studio: Studio) -> None:
    outside = [
        Path("/etc/passwd"),
        Path(standalone.__file__),
        Path.cwd() / "pyproject.toml",
        studio.host.folders().data / "settings.json",
    ]
    assert {client.get(f"/file={path}").status_code for path in outside} <= {403, 404}


def test_the_api_is_beside_the_page(client: TestClient) -> None:
    assert client.get("/personal-avatar/v1/health").json()["status"] == "ok"


def test_bodies_beyond_the_limit_are_refused() -> None:
    async def taker(scope: dict, receive: Callable, send: Callable) -> None:
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"taken"})

    client = TestClient(UploadLimit(taker, limit_bytes=100))  # type: ignore[arg-type]
    assert client.post("/", content=b"x" * 100).status_code == 200
    assert client.post("/", content=b"x" * 101).status_code == 413


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(standalone.PortTaken, match="is in use"):
            standalone.serve("127.0.0.1", taken.getsockname()[1], tmp_path)


def test_what_a_killed_server_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone.tempfile, "gettempdir", lambda: str(tmp_path))
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    left, mine = (tmp_path / f"personal-avatar-{number}-x" for number in (int(ended.stdout), os.getpid()))
    left.mkdir()
    mine.mkdir()
    standalone._sweep()
    assert not left.exists() and mine.exists()


# -- small pieces


@given(st.text(), st.text())
def test_nothing_from_outside_becomes_markup(one: str, two: str) -> None:
    made = box("bad", one, two) + f"<p{attributes(title=one, data_x=two)}>"
    bare = made.replace(box("bad", "", ""), "")
    assert "<script" not in bare
    assert (
        made.count("<") - made.count("</") - made.count("<p")
        == box("bad", "x", "y").count("<") - box("bad", "x", "y").count("</") - box("bad", "x", "y").count("<p")
        if two
        else True
    )


def test_a_bar_is_never_beyond_its_ends() -> None:
    assert 'aria-valuenow="100"' in progress_bar(1.7, "x") and 'aria-valuenow="0"' in progress_bar(-1, "x")
    assert "aria-valuenow" not in progress_bar(0.0, "x", known=False)


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, ""), (0.2, "about 1 s"), (300, "about 5 min"), (9000, "about 2.5 h")]
)
def test_spans_of_time_in_words(seconds: float | None, said: str) -> None:
    assert duration(seconds, "en") == said


@given(st.integers(1, 4000), st.integers(1, 4000), st.tuples(*[st.floats(-500, 4500)] * 4))
def test_the_square_of_a_thumbnail_lies_in_the_picture(width: int, height: int, box_px: tuple[float, ...]) -> None:
    left, top, right, bottom = square_around((width, height), box_px)  # type: ignore[arg-type]
    assert 0 <= left <= right <= width and 0 <= top <= bottom <= height
    assert (right - left, bottom - top) == pytest.approx((min(width, height),) * 2)


def test_a_picture_that_cannot_be_read_has_no_thumbnail(tmp_path: Path) -> None:
    broken = tmp_path / "x.jpg"
    broken.write_bytes(b"\xff\xd8nothing")
    assert thumbnail(broken) == "" and thumbnail(tmp_path / "gone.jpg") == ""


def test_a_thumbnail_is_a_small_jpeg(samples: Path) -> None:
    made = thumbnail(samples / "01.jpg", Face((10, 10, 60, 60), (), 1.0))
    assert made.startswith("data:image/jpeg;base64,") and len(made) < 40_000


def test_a_story_survives_a_torn_line(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text(
        '{"at": 1, "kind": "progress", "step": 1, "total": 2, "loss": 0.5}\n{"at": 2, "kind": "prog'
    )
    assert told(tmp_path).losses == ((1, 0.5),)


def test_what_a_job_did_twice_after_a_step_back_is_told_once(tmp_path: Path) -> None:
    write = EventWriter(tmp_path)
    for steps in ((10, 20, 30), (20, 25)):
        for step in steps:
            write(Progress(step, 40, step / 100))
        write(Score(20, 0.01 * steps[-1]))
        write(SampleMade("samples/20-0.png", 20))
    write(Score(0, 0.1))
    found = told(tmp_path)
    assert found.losses == ((10, 0.1), (20, 0.2), (25, 0.25))
    assert found.scores == ((0, 0.1), (20, 0.25))
    assert [path.name for path, _ in found.samples] == ["20-0.png"]


@given(st.integers(0, 5000), st.integers(2, 300))
def test_thinning_keeps_both_ends(count: int, most: int) -> None:
    points = [(float(number), 0.0) for number in range(count)]
    kept = thinned(points, most)
    assert len(kept) == min(count, most)
    assert not points or (kept[0], kept[-1]) == (points[0], points[-1])
