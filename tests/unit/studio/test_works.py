"""Which jobs can be paused, which give the graphics card to a picture, and how trainings are told apart."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from personal_avatar.domain import ONE_PHOTO
from personal_avatar.jobs.job import Job
from personal_avatar.jobs.store import JobStore
from personal_avatar.studio.works import CREATE, TRAIN, can_pause, can_yield, manner, neighbourhood_of


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


def test_the_trainings_of_a_comparison_are_told_apart_by_their_methods() -> None:
    methods = [job(TRAIN, method="dreambooth-lora"), job(TRAIN, method="lora", engine="kohya"), job(ONE_PHOTO)]
    assert [manner(one) for one in methods] == ["Dreambooth-LoRA", "LoRA, kohya (sd-scripts)", "Photos alone"]
    assert manner(job(ONE_PHOTO), "zh") == "仅用照片"
    assert manner(job(CREATE, method="lora")) == manner(job(TRAIN)) == ""
