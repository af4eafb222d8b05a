"""How much work a job is, told by its payload."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.captions.task import CaptionTask
from personal_avatar.domain import Avatar, BaseModelFile, Family, Method, Style, to_json
from personal_avatar.jobs.history import Effort
from personal_avatar.jobs.job import Job
from personal_avatar.params import validated
from personal_avatar.studio.creating import CreateSettings, CreateTask
from personal_avatar.studio.efforts import effort
from personal_avatar.studio.rankings import RankTask
from personal_avatar.training.task import OnePhotoTask, TrainTask

BASE = BaseModelFile(Path("/m/base.safetensors"), "base", Family.SD1)


def job(kind: str, task: object) -> Job:
    return Job("1", kind, "t", "u", "a", 0.0, to_json(task))


def training(photos: int = 10, **plan: object) -> TrainTask:
    avatar = Avatar(id="a", name="A", user_id="u", class_noun="man", trigger="x", created_at=0.0)
    given = tuple(Path(f"/p/{number}.png") for number in range(photos))
    return TrainTask(avatar, Path("/a"), given, BASE, Method.LORA, dict(plan), Path("/o"), Path("/w"))


def test_a_training_is_as_much_work_as_it_has_steps() -> None:
    task = training()
    assert effort(job("train", task)).work == task.settings().steps_for(10)
    assert effort(job("train", training(steps=70))).work == 70


@pytest.mark.parametrize("other", [
    training(resolution_px=256), training(batch_size=1), replace(training(), method=Method.DREAMBOOTH),
    replace(training(), base=replace(BASE, family=Family.SDXL, native_px=1024)),
])
def test_trainings_of_another_sort_are_not_alike(other: TrainTask) -> None:
    assert effort(job("train", training())).alike == effort(job("train", training(photos=5, steps=9))).alike
    assert effort(job("train", other)).alike != effort(job("train", training())).alike


def test_what_photos_alone_do_is_as_much_work_as_pictures_are_judged() -> None:
    found, smaller = (
        effort(job("one-photo", OnePhotoTask(training(**plan), (), Path("/c"), 20)))
        for plan in ({"score_pictures": 12}, {"resolution_px": 256})
    )
    assert (found.work, smaller.work) == (12.0, 8.0) and found.alike != smaller.alike


def test_portraits_are_counted_in_all_styles() -> None:
    styles = tuple(Style(name, name, "{subject}") for name in "ab")
    settings = validated(CreateSettings, {"count": 3}).dict()
    found = effort(job("create", CreateTask("a", styles, settings)))
    assert found.work == 6 and found.alike
    smaller = effort(job("create", CreateTask("a", styles, {**settings, "width_px": 256})))
    assert smaller.alike != found.alike


def test_pictures_that_were_given_are_counted_and_folders_are_not_known() -> None:
    assert effort(job("rank", RankTask("", ("1", "2"), ("1", "2"), "", ()))).work == 2
    assert effort(job("rank", RankTask("", (), (), "/somewhere", ()))) == Effort()
    assert effort(job("caption", CaptionTask("blip", ("a", "b", "c"), Path("/w")))) == Effort("blip", 3.0)
    assert effort(job("of tomorrow", {})) == Effort()
