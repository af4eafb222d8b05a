"""Which jobs can be paused, and which give the graphics card to a picture."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from personal_avatar.jobs.job import Job
from personal_avatar.jobs.store import JobStore
from personal_avatar.studio.works import CREATE, TRAIN, can_pause, can_yield, neighbourhood_of


def job(kind: str, **payload: Any) -> Job:
    return Job("0" * 32, kind, "", "local", "", 0.0, payload)


@pytest.mark.parametrize(("kind", "payload", "yields"), [
    (TRAIN, {}, True), (TRAIN, {"engine": "diffusers"}, True), (TRAIN, {"engine": "kohya"}, False), (CREATE, {}, False),
])
def test_trainings_give_the_card_away_unless_another_program_trains(
    kind: str, payload: dict[str, Any], yields: bool, tmp_path: Path
) -> None:
    assert can_yield(job(kind, **payload)) is yields
    assert neighbourhood_of(JobStore(tmp_path)).can_yield(job(kind, **payload)) is yields


def test_what_another_version_asked_for_cannot_be_paused() -> None:
    assert not can_pause(job(TRAIN, words="of another version"))
