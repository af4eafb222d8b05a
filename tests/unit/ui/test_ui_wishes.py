"""Buttons of jobs: which there are in which state, what a click does, and that a second one changes nothing."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.captions.task import CAPTION
from personal_avatar.domain import ONE_PHOTO, Checkpoint, Engine, Family, Method, to_json
from personal_avatar.errors import AvatarError, Cancelled, Crashed, DiskFull, Killed, WrongState
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control
from personal_avatar.jobs.events import Done, EventWriter, Parked, Progress, Stage, failure
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.studio import Studio
from personal_avatar.studio.works import CREATE, INVENT, RANK, TRAIN
from personal_avatar.training.planning.task import TrainTask
from personal_avatar.ui import wishes
from personal_avatar.ui.desk import Desk
from personal_avatar.ui.jobs import jobs_html
from personal_avatar.ui.live import announcement, bar, failure_html, headline, status_html
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.scene import LISTED, JobWatch, Scene

from tests.unit.api.house import build_studio

pytestmark = pytest.mark.slow

PAPERS = Shelf("papers")
ALL = (wishes.NEXT, wishes.REST, wishes.GO_ON, wishes.KEEP, wishes.DROP)


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """Nobody looks after its queue: jobs stay as the tests leave them."""
    made = build_studio(tmp_path / "data", face_weights)
    monkeypatch.setattr(made.queue, "start_lane", lambda kind: None)
    return made


def page(studio: Studio, language: str = "en", **values: Any) -> Scene:
    return Scene(studio, Desk(studio, ask_folder=True), JobWatch(studio), language, "b1" * 16, values)


def job(
    studio: Studio, *states: State, kind: str = TRAIN, engine: str = "diffusers", priority: int = 0,
    photos: tuple[Path, ...] = (),
) -> str:
    avatar = studio.avatars.open("Anna", user_id="local", class_noun="woman", statement="yes")
    base, nowhere = studio.host.checkpoint(), Path("/nowhere")
    payload = TrainTask(avatar, nowhere, photos, base, Method.LORA, {}, nowhere, nowhere, engine=Engine(engine))
    made = studio.jobs.create(kind, payload, title="Anna", user_id="local", avatar_id="anna", priority=priority)
    for state in states:
        studio.jobs.move(made.id, state)
    return made.id


def possible(studio: Studio, job_id: str) -> tuple[str, ...]:
    return wishes.possible(studio.jobs.view(job_id), page(studio))


def wish(studio: Studio, do: str, job_id: str) -> None:
    wishes.ask(page(studio), {"do": do, "job": job_id})


def left_state(studio: Studio, job_id: str) -> None:
    folder = studio.jobs.folder(job_id) / "state"
    folder.mkdir()
    (folder / "complete.json").write_text(json.dumps({"step": 7}))


def told(studio: Studio, job_id: str, language: str = "en") -> str:
    return headline(studio.jobs.view(job_id), page(studio, language))


def test_each_state_has_its_buttons(studio: Studio) -> None:
    running = (wishes.REST, wishes.KEEP, wishes.DROP)
    assert possible(studio, job(studio, State.RUNNING)) == running
    begun = job(studio)
    studio.jobs.move(begun, State.RUNNING, taken_at=time.time())
    studio.jobs.move(begun, State.PAUSED)
    assert possible(studio, begun) == (wishes.GO_ON, wishes.KEEP, wishes.DROP)
    assert possible(studio, job(studio, State.RUNNING, State.SUCCEEDED)) == ()
    assert possible(studio, job(studio, State.CANCELLED)) == ()


@pytest.mark.parametrize(("states", "first"), [((), wishes.REST), ((State.PAUSED,), wishes.GO_ON)])
def test_a_training_that_has_not_begun_has_one_way_to_cancel_it(
    studio: Studio, states: tuple[State, ...], first: str
) -> None:
    waiting = job(studio, *states)
    assert possible(studio, waiting) == (first, wishes.KEEP)
    said = wishes.row(studio.jobs.view(waiting), page(studio), "train")
    assert ">Cancel<" in said and "keep what is done" not in said


def test_what_cannot_be_paused_offers_no_pause(studio: Studio) -> None:
    assert possible(studio, job(studio, State.RUNNING, kind=CREATE)) == (wishes.KEEP,)
    assert possible(studio, job(studio, State.RUNNING, engine="kohya")) == (wishes.KEEP, wishes.DROP)


def test_a_failed_training_can_go_on_only_when_it_left_its_state(studio: Studio) -> None:
    failed = job(studio, State.RUNNING)
    studio.jobs.fail(failed, Crashed("It broke."))
    assert possible(studio, failed) == () and "Resume" not in jobs_html(page(studio), PAPERS)
    left_state(studio, failed)
    assert possible(studio, failed) == (wishes.GO_ON,)
    assert "goes on from its last saved step" in jobs_html(page(studio), PAPERS)
    wish(studio, wishes.GO_ON, failed)
    assert studio.jobs.status(failed).state is State.QUEUED
    wish(studio, wishes.GO_ON, failed)
    assert studio.jobs.status(failed).state is State.QUEUED


def test_a_failed_training_whose_photos_were_replaced_cannot_go_on(studio: Studio, tmp_path: Path) -> None:
    photo = tmp_path / "01.jpg"
    photo.touch()
    failed = job(studio, State.RUNNING, photos=(photo,))
    studio.jobs.fail(failed, Crashed("It broke."))
    left_state(studio, failed)
    assert possible(studio, failed) == (wishes.GO_ON,)
    photo.unlink()
    assert possible(studio, failed) == () and "Resume" not in jobs_html(page(studio), PAPERS)
    with pytest.raises(WrongState, match="photos of this job were replaced"):
        studio.queue.resume(failed)


def test_a_failed_job_whose_end_alone_is_missing_offers_to_finish(studio: Studio) -> None:
    failed = job(studio, State.RUNNING, kind=CREATE)
    EventWriter(studio.jobs.folder(failed))(Done({"images": []}))
    studio.jobs.fail(failed, DiskFull("The disk is full."))
    assert possible(studio, failed) == (wishes.GO_ON,)
    assert "only its end could not be written" in jobs_html(page(studio), PAPERS)
    assert "工作已完成" in jobs_html(page(studio, "zh"), PAPERS)


@pytest.mark.parametrize(("language", "again", "on"), [
    ("en", "Start the job again", "Resume goes on"), ("vi", "Hãy chạy lại", "Tiếp tục"), ("zh", "请重新开始", "继续"),
])
def test_a_training_that_was_killed_is_advised_what_can_be_done(
    studio: Studio, language: str, again: str, on: str
) -> None:
    killed = job(studio, State.RUNNING)
    studio.jobs.fail(killed, Killed("It was ended from outside."))
    assert again in jobs_html(page(studio, language), PAPERS) and on not in jobs_html(page(studio, language), PAPERS)
    left_state(studio, killed)
    assert again not in jobs_html(page(studio, language), PAPERS) and on in jobs_html(page(studio, language), PAPERS)


def test_who_waits_behind_others_can_be_next(studio: Studio) -> None:
    first, second = job(studio), job(studio)
    assert wishes.NEXT not in possible(studio, first) and possible(studio, second)[0] == wishes.NEXT
    assert "Làm việc này trước" in jobs_html(page(studio, "vi"), PAPERS)
    wish(studio, wishes.NEXT, second)
    wish(studio, wishes.NEXT, second)
    assert studio.jobs.view(second).priority == 1 and told(studio, second).startswith("Waiting, place 1")
    assert possible(studio, first)[0] == wishes.NEXT and wishes.NEXT not in possible(studio, second)
    studio.jobs.move(first, State.CANCELLED)
    with pytest.raises(AvatarError, match="cancelled"):
        wish(studio, wishes.NEXT, first)


@pytest.mark.parametrize(("language", "silent"), [
    ("en", "no progress for about 20 min"), ("vi", "đã khoảng 20 phút không có tiến triển"),
    ("zh", "已有约 20 分钟没有进展"),
])
def test_a_training_that_stands_still_says_so(studio: Studio, language: str, silent: str) -> None:
    long_ago = time.time() - 1200
    running = job(studio)
    studio.jobs.move(running, State.RUNNING, taken_at=long_ago)
    emit = EventWriter(studio.jobs.folder(running))
    emit.tell(Stage("train"), long_ago)
    emit.tell(Progress(3, 9, seconds_per_step=100.0), long_ago)
    assert silent in told(studio, running, language) and "10 " not in told(studio, running, language)
    assert "pa-warn" in jobs_html(page(studio, language), PAPERS) and silent in status_html(page(studio, language))
    emit(Progress(4, 9, seconds_per_step=100.0))
    assert silent not in told(studio, running, language) and "pa-warn" not in jobs_html(page(studio, language), PAPERS)


def test_a_running_training_says_what_it_was_asked_and_can_be_asked_otherwise(studio: Studio) -> None:
    running = job(studio, State.RUNNING)
    emit = EventWriter(studio.jobs.folder(running))
    emit(Stage("train"))
    emit(Progress(3, 9, seconds_per_step=100.0))
    assert told(studio, running) == "Training · 3 of 9 steps · about 10 min left"
    control = Control(studio.jobs.folder(running))
    wish(studio, wishes.REST, running)
    wish(studio, wishes.REST, running)
    assert control.asked(PAUSE) and told(studio, running).endswith("3 of 9 steps · pauses as soon as it can")
    assert possible(studio, running) == (wishes.GO_ON, wishes.KEEP, wishes.DROP)
    wish(studio, wishes.GO_ON, running)
    wish(studio, wishes.GO_ON, running)
    assert not control.asked(PAUSE) and possible(studio, running)[0] == wishes.REST
    wish(studio, wishes.KEEP, running)
    wish(studio, wishes.KEEP, running)
    assert control.asked(CANCEL) and told(studio, running, "vi").endswith("sẽ dừng ngay khi có thể")
    assert possible(studio, running) == (wishes.DROP,)
    wish(studio, wishes.DROP, running)
    assert control.asked(DISCARD) and possible(studio, running) == ()


def test_a_waiting_training_is_paused_and_goes_on_at_once(studio: Studio) -> None:
    waiting = job(studio)
    wish(studio, wishes.REST, waiting)
    wish(studio, wishes.REST, waiting)
    assert studio.jobs.status(waiting).state is State.PAUSED and told(studio, waiting) == "Paused"
    assert 'data-pa-busy="0"' in status_html(page(studio)), "nothing happens until somebody asks for it"
    assert "pa-bar" not in jobs_html(page(studio), PAPERS), "a bar of unknown length moves"
    wish(studio, wishes.GO_ON, waiting)
    wish(studio, wishes.GO_ON, waiting)
    assert studio.jobs.status(waiting).state is State.QUEUED


def test_what_each_training_made_is_in_the_list_even_of_one_that_was_cut_short(studio: Studio) -> None:
    whole, cut, lost = (job(studio, State.RUNNING) for _ in range(3))
    point = Checkpoint(Path("/models/Lora/anna.safetensors"), "", 2, Method.LORA, Family.SD1, "sks woman", None)
    made = {"checkpoint": to_json(point), "seconds": 3.0}
    EventWriter(studio.jobs.folder(whole))(Done(made))
    studio.jobs.move(whole, State.SUCCEEDED)
    kept = Cancelled("The job was cancelled.", "The best checkpoint until then was kept.", made)
    for one, error in ((cut, kept), (lost, Cancelled("The job was cancelled.", ""))):
        EventWriter(studio.jobs.folder(one))(failure(error))
        studio.jobs.move(one, State.CANCELLED, error=error.to_json())
    said = jobs_html(page(studio), PAPERS)
    assert [f"pa-outcome-{one}" in said for one in (whole, cut, lost)] == [True, True, False]
    assert [f'id="pa-outcome-{one}-line"' in said for one in (whole, cut)] == [True, True], "the focus stays there"
    assert all(f'id="pa-erase-{one}-line"' in said for one in (whole, cut, lost))
    assert said.count("Lora/anna.safetensors") == 2 and said.count("&lt;lora:anna:1&gt; sks woman") == 2


@pytest.mark.parametrize(("language", "nothing"), [
    ("en", "Nothing had been saved yet"), ("vi", "Chưa có gì được lưu"), ("zh", "尚未保存任何内容"),
])
def test_a_training_that_had_nothing_to_keep_does_not_say_that_it_kept_it(
    studio: Studio, language: str, nothing: str
) -> None:
    early, dropped = job(studio, State.RUNNING), job(studio, State.RUNNING)
    Control(studio.jobs.folder(dropped)).ask(DISCARD)
    error = Cancelled("The job was cancelled.", "What was finished until then is kept.")
    for one in (early, dropped):
        studio.jobs.move(one, State.CANCELLED, error=error.to_json())
    scene = page(studio, language)
    said = [failure_html(studio.jobs.view(one), scene) for one in (early, dropped)]
    assert nothing in said[0] and "is kept" not in said[0] and nothing not in said[1]


@pytest.mark.parametrize("do", [wishes.KEEP, wishes.DROP])
def test_a_paused_training_is_cancelled_once(studio: Studio, do: str) -> None:
    paused = job(studio, State.PAUSED)
    wish(studio, do, paused)
    wish(studio, do, paused)
    assert studio.jobs.status(paused).state is State.CANCELLED
    said = jobs_html(page(studio), PAPERS)
    assert "pa-box pa-warn" in said and "pa-box pa-bad" not in said, "nothing went wrong"


@pytest.mark.parametrize(
    "value", [{}, {"do": "fly", "job": "x"}, {"do": "pause", "job": 7}, {"do": "pause", "job": "x"}]
)
def test_an_old_page_is_told_so(studio: Studio, value: dict[str, Any]) -> None:
    with pytest.raises(AvatarError):
        wishes.ask(page(studio), value)


@pytest.mark.parametrize("do", ALL)
def test_a_wish_that_came_too_late_is_told(studio: Studio, do: str) -> None:
    ended = job(studio, State.RUNNING, State.SUCCEEDED)
    with pytest.raises(AvatarError, match="succeeded"):
        wish(studio, do, ended)


def test_a_parked_training_says_for_what_it_waits(studio: Studio) -> None:
    running = job(studio, State.RUNNING)
    emit = EventWriter(studio.jobs.folder(running))
    for event in (Stage("train"), Progress(3, 9), Parked(True, 0.1)):
        emit(event)
    assert told(studio, running) == "Waiting while a picture is made · 3 of 9 steps"
    assert told(studio, running, "zh").startswith("正在等待另一张图片生成")


def test_the_strip_tells_what_runs_however_many_wait(studio: Studio) -> None:
    job(studio, State.PAUSED)
    EventWriter(studio.jobs.folder(job(studio, State.RUNNING)))(Progress(3, 9))
    for _ in range(4):
        job(studio)
    lines = re.findall(r"<li>(.*?)</li>", status_html(page(studio)))
    assert "3 of 9" in lines[0] and [line.partition("place ")[2] for line in lines[1:]] == ["1", "2", "3"]
    assert status_html(page(studio)).partition("data-pa-say=")[2].startswith("\"Anna · LoRA: Starting, 30")


def test_what_is_counted_is_named(studio: Studio) -> None:
    view = studio.jobs.view(job(studio, State.RUNNING))
    for kind, unit, spoken in (
        (TRAIN, "steps", "步"), (ONE_PHOTO, "steps", "步"), (CAPTION, "photos", "张照片"),
        (CREATE, "pictures", "张图片"), (INVENT, "pictures", "张图片"), (RANK, "pictures", "张图片"),
    ):
        going = replace(view, job=replace(view.job, kind=kind), step=3, total_steps=9)
        assert headline(going, page(studio)).endswith(f"3 of 9 {unit}")
        assert headline(going, page(studio, "zh")).endswith(f"3 / 9 {spoken}")


def test_a_stage_without_steps_shows_none_of_the_loop_before_it(studio: Studio) -> None:
    made, scene = job(studio, State.RUNNING), page(studio)
    view = replace(studio.jobs.view(made), stage="score", step=9, total_steps=9)
    assert 'aria-valuenow="100"' in bar(view, scene) and "9" in headline(view, scene)
    judged = headline(replace(view, stage="train", within="judge"), scene)
    assert judged == "Saving and judging what was learned · 9 of 9 steps"
    view = replace(view, past_loop=True)
    assert "aria-valuenow" not in bar(view, scene) and "9" not in headline(view, scene)
    assert "%" not in announcement(view, scene)


def test_waiting_jobs_say_their_place_and_when_their_turn_comes(studio: Studio) -> None:
    scene = page(studio)
    view = studio.jobs.view(job(studio))
    assert headline(view, scene) == "Waiting, place 1"
    known = JobView(view.job, view.status, position=2, starts_in_s=300.0, eta_s=900.0)
    assert headline(known, scene) == "Waiting, place 2 · starts in about 5 min · done in about 15 min"


def test_the_list_tells_restarts_and_priority(studio: Studio) -> None:
    often = job(studio, State.RUNNING, priority=3)
    studio.jobs.move(often, State.QUEUED, restarts=2)
    said = jobs_html(page(studio), PAPERS)
    assert "<dt>Taken up again by itself</dt><dd>2</dd>" in said and "<dt>Priority</dt><dd>3</dd>" in said


def test_the_list_shows_the_newest_and_older_ones_that_have_not_ended(studio: Studio) -> None:
    oldest = job(studio, State.PAUSED)
    for _ in range(LISTED + 2):
        job(studio, State.RUNNING, State.SUCCEEDED)
    scene = page(studio)
    said = jobs_html(scene, PAPERS)
    assert said.count('class="pa-job"') == LISTED + 1 and f'data-job="{oldest}"' in said
    assert "and 2 older ones" in said
    assert scene.training is not None and scene.training.job.id == oldest


def test_a_training_that_runs_is_shown_before_one_that_rests(studio: Studio) -> None:
    running, _ = job(studio, State.RUNNING), job(studio, State.PAUSED)
    training = page(studio).training
    assert training is not None and training.job.id == running
