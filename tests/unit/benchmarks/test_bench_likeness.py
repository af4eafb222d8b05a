"""Time to likeness: read from the events of trainings, compared with the usual recipe."""
from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.benchmarks import likeness
from personal_avatar.benchmarks.likeness import Course, LikenessWork, Subject, course_of, reached, time_to_likeness
from personal_avatar.cli import main
from personal_avatar.domain import Engine, Method
from personal_avatar.environment import kohya
from personal_avatar.jobs import queue
from personal_avatar.jobs.events import Event, Progress, Record, Score, Stage, Started
from personal_avatar.jobs.store import Job, JobView
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, LEARN, DrawingHost
from tests.unit.jobs.children import PATIENT

pytestmark = pytest.mark.slow

# A training as its events tell it: 2 s a step, 30 s for making and scoring pictures at each checkpoint.
COURSE: list[tuple[float, Event]] = [
    (100.0, Started(1)), (101.0, Stage("check")), (104.0, Stage("cache")), (120.0, Score(0, 0.1)),
    (121.0, Stage("train")), (123.0, Progress(1, 4, 0.5, 2.0)), (125.0, Progress(2, 4, 0.5, 2.0)),
    (155.0, Score(2, 0.3)), (157.0, Progress(3, 4, 0.5, 2.0)), (159.0, Progress(4, 4, 0.5, 2.0)),
    (189.0, Score(4, 0.5)), (190.0, Stage("score")), (220.0, Score(4, 0.9, 0.0)),
]
# sd-scripts is judged when it has ended.
KOHYA: list[tuple[float, Event]] = [
    (100.0, Started(1)), (104.0, Stage("cache")), (120.0, Score(0, 0.1)), (121.0, Stage("train")),
    (133.0, Progress(1, 4)), (136.0, Progress(2, 4)), (139.0, Progress(3, 4)), (142.0, Progress(4, 4)),
    (170.0, Score(2, 0.2)), (200.0, Score(4, 0.6)), (201.0, Stage("score")),
]


def records(events: list[tuple[float, Event]]) -> list[Record]:
    return [Record(number, at, event) for number, (at, event) in enumerate(events, start=1)]


def test_pauses_for_pictures_are_no_training() -> None:
    course = course_of(records(COURSE), Engine.DIFFUSERS)
    assert course.training == ((4.0, 0.3), (8.0, 0.5))
    assert course.wall == ((55.0, 0.3), (89.0, 0.5))
    assert (course.floor, course.best) == (0.1, 0.5)


def test_steps_that_cost_more_later_are_counted_as_they_were() -> None:
    slower = [(at, replace(event, seconds_per_step=3.5) if event == COURSE[-4][1] else event) for at, event in COURSE]
    assert course_of(records(slower), Engine.DIFFUSERS).training == ((4.0, 0.3), (14.0, 0.5))


def test_of_sd_scripts_the_last_step_counts_not_the_later_score() -> None:
    course = course_of(records(KOHYA), Engine.KOHYA)
    assert course.training == ((6.0, 0.2), (12.0, 0.6))
    assert course.wall == ((15.0, 0.2), (21.0, 0.6))  # its own start took 9 s


def test_pictures_that_sd_scripts_makes_meanwhile_do_not_count() -> None:
    slower = [(at + 50.0 if at >= 139 else at, event) for at, event in KOHYA]
    course = course_of(records(slower), Engine.KOHYA)
    assert course.wall == ((15.0, 0.2), (21.0, 0.6))


def test_time_to_likeness_is_where_the_evened_curve_is_good_enough() -> None:
    reference = Course(0.1, ((50.0, 0.2), (100.0, 0.6), (150.0, 0.5)), ((60.0, 0.2), (120.0, 0.6), (180.0, 0.5)))
    ours = Course(0.1, ((10.0, 0.4), (20.0, 0.5), (30.0, 0.7)), ((30.0, 0.4), (60.0, 0.5), (90.0, 0.7)))
    found = time_to_likeness(ours, reference)
    assert found["threshold"] == 0.42  # 80 % of the way from 0.1 to 0.5
    assert (found["ours_s"], found["reference_s"], found["ratio"]) == (11.5, 97.1, 0.118)
    assert (found["wall_ours_s"], found["wall_reference_s"], found["wall_ratio"]) == (34.5, 116.6, 0.296)


@given(st.floats(0.0, 0.03), st.floats(0.0, 0.03), st.floats(0.2, 0.6))
def test_a_checkpoint_that_chance_favours_is_no_likeness_yet(up: float, down: float, threshold: float) -> None:
    even = [(10.0 * step, 0.1 * step) for step in range(8)]
    chance = [(at, likeness + (up if place == 4 else -down if place == 5 else 0.0))
              for place, (at, likeness) in enumerate(even)]
    assert reached(even, threshold) == pytest.approx(100 * threshold, abs=0.06)
    assert reached(chance, threshold) == pytest.approx(100 * threshold, abs=2.1)


def test_who_never_gets_there_has_no_time() -> None:
    assert reached([(10.0, 0.4)], 0.5) is None
    short = Course(0.1, ((10.0, 0.2),), ((10.0, 0.2),))
    long = Course(0.1, ((10.0, 0.6),), ((10.0, 0.6),))
    assert time_to_likeness(short, long)["ratio"] is None
    assert likeness.median_of([{"ratio": 0.5}, {"ratio": None}], "ratio") is None
    assert likeness.median_of([{"ratio": 0.5}, {"ratio": 0.7}], "ratio") == 0.6


def test_a_reference_that_never_rose_is_nothing_to_compare_with() -> None:
    flat, ours = Course(0.4, ((10.0, 0.3),), ((10.0, 0.3),)), Course(0.4, ((10.0, 0.6),), ((10.0, 0.6),))
    found = time_to_likeness(ours, flat)
    assert (found["threshold"], found["ours_s"], found["reference_s"], found["ratio"]) == (None, None, None, None)


# Learns as the house does, and tells on the way how like the pictures became.
SCORES = """
from personal_avatar.jobs.events import Score, Stage
import json as _json
plan = _json.loads((folder / "job.json").read_text(encoding="utf-8"))["payload"]["plan"]
usual = plan.get("batch_size") == 1
emit(Score(0, 0.1))
emit(Stage("train"))
for step in range(1, 5):
    time.sleep(0.1 if usual else 0.02)
    emit(Progress(step, 4, loss=0.5))
    emit(Score(step, 0.1 + 0.1 * step))
emit(Stage("score"))
"""


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    monkeypatch.setattr(queue, "POLL_S", 0.02)
    monkeypatch.setattr(queue, "IDLE_S", 0.2)
    (tmp_path / "weights").symlink_to(face_weights, target_is_directory=True)
    return Studio(DrawingHost(tmp_path, SCORES + LEARN))


def measure(studio: Studio, **changes: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    work = LikenessWork((Subject("anna", tuple(GOOD[:3])),), (Method.LORA,), "avatar-tiny", "woman", **changes)

    def follow(job: Job) -> JobView:
        return studio.queue.wait(job.id, 60)

    return likeness.measure(studio, work, follow, said.append), said


def test_the_usual_recipe_and_every_method_are_real_jobs(studio: Studio) -> None:
    document, said = measure(studio)
    usual, ours = document["subjects"]
    assert (usual["method"], ours["method"]) == ("reference", "lora")
    assert {"subject", "floor", "after", "ceiling", "recovered", "leakage", "prompt_following", "seconds"} <= set(ours)
    found = ours["time_to_likeness"]
    assert found["threshold"] == pytest.approx(0.42)
    assert 0 < found["ours_s"] < found["reference_s"]
    assert document["time_to_likeness"]["ratio"] == found["ratio"] < 1
    assert document["reference"]["engine"] == "diffusers"
    assert said == ["anna: the usual recipe, 300 steps, by our loop", "anna: lora"]


def test_a_small_network_gets_a_rate_that_suits_it(studio: Studio) -> None:
    work = LikenessWork((), (), "avatar-tiny", reference_rate=4e-3)
    assert (work.recipe()["learning_rate"], work.recipe()["text_encoder_learning_rate"]) == pytest.approx((4e-3, 2e-3))
    assert LikenessWork((), (), "avatar-tiny").recipe() == likeness.RECIPE
    assert measure(studio, reference_rate=4e-3)[0]["reference"]["recipe"]["learning_rate"] == pytest.approx(4e-3)


def test_nobodys_photos_stay_behind(studio: Studio) -> None:
    measure(studio, reference=False)
    assert studio.avatars.all() == []
    assert studio.jobs.views() == []


def test_a_users_own_avatar_of_a_name_like_that_stays(studio: Studio) -> None:
    own = studio.avatars.open("Benchmark anna", user_id="local", class_noun="woman", statement="She agreed.")
    studio.avatars.save(own)
    measure(studio, reference=False)
    assert studio.avatars.all() == [own]


def test_nothing_stays_behind_when_it_is_interrupted_while_a_job_runs(studio: Studio) -> None:
    studio.host.learn = PATIENT  # type: ignore[attr-defined]
    work = LikenessWork((Subject("anna", tuple(GOOD[:3])),), (Method.LORA,), "avatar-tiny", "woman", reference=False)

    def interrupt(job: Job) -> JobView:
        while not studio.jobs.view(job.id).step:
            time.sleep(0.02)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        likeness.measure(studio, work, interrupt, lambda sentence: None)
    assert studio.avatars.all() == []
    assert studio.jobs.views() == []
    assert not list((studio.host.folders().data / "avatars").iterdir())


def test_without_the_recipe_there_is_nothing_to_compare(studio: Studio) -> None:
    document, _ = measure(studio, reference=False)
    assert [row["method"] for row in document["subjects"]] == ["lora"]
    assert "time_to_likeness" not in document


def test_a_training_that_fails_has_its_error_in_place_of_numbers(studio: Studio) -> None:
    studio.host.learn = "raise RuntimeError('broken')"  # type: ignore[attr-defined]
    document, _ = measure(studio)
    assert [row["error"]["code"] for row in document["subjects"]] == ["CRASHED", "CRASHED"]
    assert "broken" in document["subjects"][1]["error"]["message"]
    assert document["subjects"][1]["time_to_likeness"] is None
    assert document["time_to_likeness"] == {"ours_s": None, "reference_s": None, "ratio": None}
    assert studio.avatars.all() == []


@pytest.mark.skipif(not os.environ.get(kohya.VARIABLE), reason=f"{kohya.VARIABLE} is not set")
def test_sd_scripts_itself_trains_the_shipped_checkpoint(
    tmp_path: Path, face_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights").symlink_to(face_weights, target_is_directory=True)
    words = "bench likeness --methods lora --class man --reference-steps 2 --saves 1 --json"
    few = ["--set", "steps=2", "sample_steps=1", "score_pictures=1"]
    assert main([*words.split(), *few, "--data", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["reference"]["engine"] == "kohya"
    assert [(row["error"], row["scores"][-1]["step"]) for row in document["subjects"]] == [(None, 2), (None, 2)]


def test_a_request_that_is_refused_is_a_row_too(studio: Studio) -> None:
    document, _ = measure(studio, reference=False, plan=(("rank", 0),))
    assert document["subjects"][0]["error"]["code"] == "INVALID_SETTINGS"
