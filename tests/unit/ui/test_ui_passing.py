"""A refusal goes from the page when what it tells is so no longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from personal_avatar.errors import WrongState
from personal_avatar.jobs.states import State
from personal_avatar.studio import Studio, TrainRequest

from tests.unit.api.house import GOOD
from tests.unit.ui.visitor import Visitor

Visit = Callable[..., Visitor]
pytestmark = pytest.mark.slow


def test_missing_consent_is_told_until_it_is_given(visit: Visit) -> None:
    visitor = visit(key="d1" * 16)
    visitor.choose_files(*GOOD[:2])
    visitor.enter(name="Ada", noun="woman", consent=False)
    visitor.click("check")
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    visitor.click("start")
    visitor.refresh()
    assert "Consent is missing" in visitor.text("train_message")
    visitor.put("consent", True)
    assert visitor.text("train_message") == ""


def test_too_few_photos_is_told_until_some_are_accepted(visit: Visit) -> None:
    visitor = visit(key="d2" * 16)
    visitor.click("start")
    visitor.refresh()
    assert "Too few photos" in visitor.text("train_message")
    visitor.choose_files(*GOOD[:2])
    visitor.click("check")
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    assert visitor.text("train_message") == ""


def test_that_a_job_has_not_ended_is_told_of_an_erasure_until_it_has(
    visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = TrainRequest("Olga", tuple(GOOD[:2]), "woman", consent="she agreed")
    studio.queue.wait(studio.trainings.start(request).id, 120)
    with monkeypatch.context() as patch:
        patch.setattr(studio.queue, "start_lane", lambda kind: None)
        waiting = studio.trainings.start(replace(request, photos=tuple(GOOD[:3])))
    visitor = visit(key="d3" * 16)
    visitor.enter(avatar="Olga", erase_sure=True)
    visitor.click("erase")
    visitor.refresh()
    assert "A job of Olga has not ended" in visitor.text("erase_message")
    studio.jobs.move(waiting.id, State.CANCELLED)
    visitor.refresh()
    assert visitor.text("erase_message") == ""


def test_what_nobody_knows_better_stays(visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_turn(request: TrainRequest) -> None:
        raise WrongState("Another program is at work.")

    visitor = visit(key="d4" * 16)
    visitor.choose_files(*GOOD[:2])
    visitor.enter(name="Pia", noun="woman", consent=True)
    visitor.click("check")
    visitor.wait(lambda: "accepted" in visitor.text("report"))
    monkeypatch.setattr(studio.trainings, "start", in_turn)
    visitor.click("start")
    visitor.refresh()
    assert "Another program is at work." in visitor.text("train_message")
