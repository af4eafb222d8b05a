"""What a press of Start came to, told for as long as it is so."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from personal_avatar.errors import QueueFull, WrongState
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import Job
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.ui import begun
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.scene import JobWatch, Scene

from tests.unit.api.house import GOOD, build_studio


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """Nobody looks after its queue: jobs stay as the tests leave them."""
    made = build_studio(tmp_path / "data", face_weights)
    monkeypatch.setattr(made.queue, "start_lane", lambda kind: None)
    return made


def of(studio: Studio, name: str) -> Callable[[], Job]:
    return lambda: studio.trainings.start(TrainRequest(name, (GOOD[0],), "woman", consent="she agreed"))


def shown(studio: Studio, noted: str, language: str = "en") -> str:
    scene = Scene(studio, Desk(studio, ask_folder=True), JobWatch(studio), language, "b1" * 16, {begun.NAME: noted})
    return begun.told_html(scene)


def said(studio: Studio, noted: str, language: str = "en") -> str:
    return " ".join(re.sub("<[^>]+>", " ", shown(studio, noted, language)).split())


def test_a_second_start_is_told_without_alarm_and_in_the_same_words_until_the_first_has_ended(studio: Studio) -> None:
    job = of(studio, "Anna")()
    noted = begun.noted(of(studio, "Anna"))
    told = said(studio, noted)
    assert f"No second training of Anna was started: one has not ended (job {job.id[:8]})" in told
    assert f"cho Anna: có một lần chưa kết thúc (công việc {job.id[:8]})" in said(studio, noted, "vi")
    assert "pa-answer" in shown(studio, noted) and "alert" not in shown(studio, noted)
    studio.jobs.move(job.id, State.PAUSED)
    assert said(studio, noted) == told, "else a press of Pause has it read out, and scrolled to"
    studio.jobs.move(job.id, State.CANCELLED)
    assert said(studio, noted) == ""


def test_a_paused_training_that_is_started_again_is_told_how_to_resume(studio: Studio) -> None:
    job = of(studio, "Anna")()
    studio.jobs.move(job.id, State.PAUSED)
    with pytest.raises(WrongState, match=f"is paused .job {job.id}") as caught:
        of(studio, "Anna")()
    assert f"`personal-avatar jobs resume {job.id[:8]}`" in caught.value.hint


def test_a_training_that_waits_behind_the_one_that_is_shown_is_told_with_its_place(studio: Studio) -> None:
    first, noted = of(studio, "Anna")(), begun.noted(of(studio, "Bea"))
    assert "Bea" in said(studio, noted) and "Waiting, place 2" in said(studio, noted)
    studio.jobs.move(first.id, State.CANCELLED)
    assert said(studio, noted) == "", "it is the one that is shown"


def test_what_else_speaks_against_a_start_is_raised_and_nothing_is_told_before_one(studio: Studio) -> None:
    def full() -> Job:
        raise QueueFull("64 jobs are waiting.")

    with pytest.raises(QueueFull):
        begun.noted(full)
    assert said(studio, "") == said(studio, "started gone") == ""
