"""A training that finds no room: what the page tells of it, and its two buttons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from personal_avatar.domain import Method
from personal_avatar.errors import PlanTooLarge
from personal_avatar.studio import Studio
from personal_avatar.training.planning.fitting import needed_gb
from personal_avatar.training.planning.ways import Wish
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.offer import changes_in_words, refused_html
from personal_avatar.ui.scene import JobWatch, Scene

from tests.unit.ui.test_ui_panels import laid_out
from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]
pytestmark = pytest.mark.slow  # checks photos
LARGE = {"batch_size": 16, "precision": "fp32"}


def crowded(studio: Studio, monkeypatch: pytest.MonkeyPatch, share: float) -> None:
    """Only this share of what the training would need is free."""
    room = studio.sizing.free()
    wish = Wish(studio.host.checkpoint(), Method.LORA, LARGE, room.kind)
    tight = replace(room, free_gb=share * needed_gb(wish))
    monkeypatch.setattr(studio.sizing, "free", lambda: tight)


def test_the_plan_that_fits_is_offered_used_and_starts(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = laid_out(visit, "0f" * 16, "Oda")
    visitor.enter(**{f"plan_{name}": value for name, value in LARGE.items()})
    crowded(studio, monkeypatch, 0.9)
    visitor.click("start")
    assert "This training needs more memory than is free" in visitor.text("offer")
    assert "GB are free" in visitor.text("offer") and "This would fit" in visitor.text("offer")
    assert visitor.text("train_message") == ""
    visitor.press("offer", "Use the plan that fits")
    assert visitor.text("offer") == "" and visitor.value("plan_gradient_checkpointing") is True
    assert visit(key="0f" * 16).value("plan_gradient_checkpointing") is True, "it is kept as the user's own"
    visitor.click("start")
    assert (visitor.text("offer"), visitor.text("train_message")) == ("", "")
    visitor.wait(lambda: "Oda is ready" in visitor.text("training"))
    (plan,) = [view.job.payload["plan"] for view in studio.jobs.views() if view.job.title == "Oda"]
    assert (plan["batch_size"], plan["gradient_checkpointing"]) == (16, True)


def test_it_can_be_started_anyway(visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = laid_out(visit, "0e" * 16, "Ulla")
    room = replace(studio.sizing.free(), free_gb=0.001)
    monkeypatch.setattr(studio.sizing, "free", lambda: room)
    visitor.click("start")
    assert "No smaller plan would fit either." in visitor.text("offer")
    assert "Use the plan" not in visitor.text("offer")
    visitor.press("offer", "Start it anyway")
    assert visitor.text("offer") == ""
    visitor.wait(lambda: "Ulla is ready" in visitor.text("training"))


def test_changes_are_told_by_the_labels_of_the_page(studio: Studio) -> None:
    desk = Desk(studio, ask_folder=True)
    changes = {"method": "textual-inversion", "batch_size": 1, "gradient_checkpointing": True}
    words = {
        "en": "Textual Inversion, Batch size: 1, Gradient checkpointing (less memory, slower): on",
        "vi": "Cỡ lô: 1",
        "zh": "批大小: 1",
    }
    for language, wanted in words.items():
        scene = Scene(studio, desk, JobWatch(studio), language, "b1" * 16, {})
        assert wanted in changes_in_words(changes, scene)


def test_what_is_needed_and_free_is_told_in_every_language(studio: Studio) -> None:
    error = PlanTooLarge("It needs more.", "")
    error.details = {"needed_gb": 9.5, "free_gb": 4.0, "plan": None, "changes": None, "method": None}
    desk = Desk(studio, ask_folder=True)
    for language in ("en", "vi", "zh"):
        said = refused_html(error, Scene(studio, desk, JobWatch(studio), language, "b1" * 16, {}))
        assert "9.5 GB" in said and "4.0 GB" in said and 'role="alert"' in said
