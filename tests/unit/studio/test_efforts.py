"""How much work a job is, told by its payload."""
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from personal_avatar.captions.task import CaptionTask
from personal_avatar.domain import Avatar, BaseModelFile, Family, Method, Style, to_json
from personal_avatar.jobs.account import Account
from personal_avatar.jobs.history import Effort, learned
from personal_avatar.jobs.job import Job
from personal_avatar.params import validated
from personal_avatar.studio.creating import CreateSettings, CreateTask
from personal_avatar.studio.efforts import effort
from personal_avatar.studio.rankings import RankTask
from personal_avatar.training.planning.task import OnePhotoTask, TrainTask

BASE = BaseModelFile(Path("/m/base.safetensors"), "base", Family.SD1)


def job(kind: str, task: object) -> Job:
    return Job("1", kind, "t", "u", "a", 0.0, to_json(task))


def training(photos: int = 10, **plan: object) -> TrainTask:
    avatar = Avatar(id="a", name="A", user_id="u", class_noun="man", trigger="x", created_at="2026-01-01T00:00:00Z")
    given = tuple(Path(f"/p/{number}.png") for number in range(photos))
    return TrainTask(avatar, Path("/a"), given, BASE, Method.LORA, dict(plan), Path("/o"), Path("/w"))


def test_a_training_is_as_much_more_work_as_it_has_more_steps() -> None:
    found = {steps: effort(job("train", training(steps=steps))).work for steps in (10, 20, 40)}
    assert found[40] - found[20] == pytest.approx(2 * (found[20] - found[10])) and found[20] > found[10]
    task = training()
    assert effort(job("train", task)) == effort(job("train", training(steps=task.settings().steps_for(10))))


def test_what_checkpoints_are_judged_by_is_work_of_the_loop_too() -> None:
    one, four = (effort(job("train", training(steps=40, save_count=count))) for count in (1, 4))
    assert four.work > one.work and four.alike == one.alike
    assert effort(job("train", training(steps=1))).work == effort(job("train", training(steps=1, save_count=1))).work


def lasting(stages: dict[str, float]) -> Account:
    return Account(laps={"": 4.0, **stages}, loops={"train": 1})


def test_a_short_try_does_not_teach_that_a_whole_training_takes_hours() -> None:
    """As measured on avatar-tiny: a step 0.58 s, the judging of three checkpoints and the untrained one 95 s."""
    tiny = replace(training(), base=replace(BASE, native_px=192))
    short, whole = (effort(job("train", replace(tiny, plan={"steps": steps}))) for steps in (6, 400))
    assert short.alike == whole.alike
    known = learned([(short.work, lasting({"train": 6 * 0.58 + 95, "score": 42}))])
    truth = 4 + 400 * 0.58 + 95 + 42
    assert truth / 2 < (known.total_s(whole.work) or 0.0) < 2 * truth
    after_whole = learned([(whole.work, lasting({"train": 400 * 0.58 + 95, "score": 42}))])
    assert after_whole.total_s(whole.work) == pytest.approx(truth)


@pytest.mark.parametrize("other", [
    training(resolution_px=256), training(batch_size=1), training(prior_weight=0.0), training(prior_from="pictures"),
    training(score_pictures=1), training(sample_steps=4), training(low_first=0.5), training(gpus=2, accumulate=2),
    training(text_encoder_learning_rate=1e-5), training(dora=True), training(blocks="late"), training(stop_at=0.5),
    training(compile="on"), replace(training(), method=Method.DREAMBOOTH),
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
