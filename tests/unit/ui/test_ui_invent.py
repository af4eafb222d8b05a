"""The panel "Invent", as a visitor without a browser uses it."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from personal_avatar.jobs.states import ACTIVE, State
from personal_avatar.standalone.app import build_app
from personal_avatar.studio import Studio

from tests.unit.sketches import sketching_studio
from tests.unit.ui.visitor import Visitor

pytestmark = pytest.mark.slow
RUBY = {"invent_description": "a woman with red hair", "invent_noun": "woman", "invent_set_count": 30,
        "invent_set_keep": 3, "invent_set_seed": 100}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, face_weights: Path) -> Studio:
    return sketching_studio(tmp_path_factory.mktemp("house") / "data", face_weights)


@pytest.fixture(scope="module")
def visit(studio: Studio) -> Iterator[Callable[..., Visitor]]:
    with TestClient(build_app(studio)) as client:
        yield lambda **how: Visitor(client, **how)


@pytest.mark.parametrize(("accept", "said"), [
    ("en", "A person who does not exist"), ("vi", "Một người không có thật"), ("zh", "一个不存在的人"),
])
def test_before_anything_was_made_it_says_what_happens_here(
    visit: Callable[..., Visitor], accept: str, said: str
) -> None:
    visitor = visit(accept=accept)
    assert said in visitor.text("invent_progress")
    assert visitor.prop("invent_use", "visible") is False


def test_a_description_is_needed(visit: Callable[..., Visitor], studio: Studio) -> None:
    visitor = visit()
    visitor.enter(invent_description="  ")
    visitor.click("invent_start")
    assert "No description was given" in visitor.text("invent_message")
    visitor.enter(**{**RUBY, "invent_set_keep": 60})
    visitor.click("invent_start")
    assert "keep must be at most count" in visitor.text("invent_message")
    assert studio.jobs.views() == []


def test_from_a_description_to_photos_that_are_laid_out(visit: Callable[..., Visitor], studio: Studio) -> None:
    visitor = visit(key="c" * 32)
    visitor.enter(**RUBY)
    visitor.click("invent_start")
    assert visitor.text("invent_message") == ""
    visitor.wait(lambda: visitor.prop("invent_use", "visible") is True)
    assert "pictures show the same character" in visitor.text("invent_progress")
    assert "All pictures that were made" in visitor.text("invent_made")
    assert visitor.value("invent_kept").count("<li") >= 3
    assert "a woman with red hair" in visitor.text("jobs")
    visitor.click("invent_use")
    assert visitor.text("invent_use_message") == ""
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    assert visitor.value("noun") == "woman"
    assert visitor.prop("panels", "selected") == "photos"
    draft = next((studio.host.folders().data / "drafts").glob("*/photos"))
    assert len(list(draft.glob("*.png"))) >= 3


def test_it_can_be_cancelled_and_keeps_what_it_has(visit: Callable[..., Visitor], studio: Studio) -> None:
    visitor = visit(key="d" * 32)
    visitor.enter(**{**RUBY, "invent_set_count": 400, "invent_set_similarity": 1.0})
    visitor.click("invent_start")
    visitor.wait(lambda: visitor.value("invent_made").count("<li") >= 5)
    assert visitor.prop("invent_cancel", "visible") is True
    running = studio.jobs.views(states=ACTIVE)[0].job.id
    visitor.click("invent_cancel")
    assert studio.queue.wait(running, 30).status.state is State.CANCELLED
    visitor.refresh()
    assert visitor.prop("invent_cancel", "visible") is False
