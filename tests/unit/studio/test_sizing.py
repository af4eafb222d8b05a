"""A training that finds no room is refused at every door with the plan that would fit, and starts with it."""
from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api.routes import build_router
from personal_avatar.domain import Method
from personal_avatar.environment import free
from personal_avatar.environment.free import Free
from personal_avatar.errors import PlanTooLarge
from personal_avatar.jobs import endings
from personal_avatar.jobs.states import State
from personal_avatar.studio import Studio, TrainRequest
from personal_avatar.training.planning import fitting, learned
from personal_avatar.training.planning.ways import Wish

from tests.unit.api.house import GOOD, LEARN, build_studio, encoded

pytestmark = pytest.mark.slow  # runs jobs

LARGE = {"batch_size": 64, "ema_decay": 0.99}
REQUEST = TrainRequest("Anna", GOOD[:1], "woman", method=Method.DREAMBOOTH, plan=LARGE, consent="she agreed")
V1 = "/personal-avatar/v1"
TOLD = LEARN.replace('"peak_memory_gb": 1.2', '"peak_memory_gb": 1.2, "peak_memory_of": "ram"')


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """On a machine on which 1.6 GB are free."""
    monkeypatch.setattr(free, "measured", lambda ours=(), index=0: Free("ram", 1.6, 4.0))
    return build_studio(tmp_path / "data", face_weights, TOLD)


def refused(studio: Studio, request: TrainRequest = REQUEST) -> dict[str, Any]:
    with pytest.raises(PlanTooLarge) as error:
        studio.trainings.start(request)
    return error.value.details


def test_a_training_without_room_leaves_no_trace_and_names_one_that_fits(studio: Studio) -> None:
    details = refused(studio)
    assert studio.jobs.ids() == [] and studio.avatars.all() == []
    assert details["free_gb"] == 1.6 < details["needed_gb"] and details["predicted_gb"] <= 1.6
    again = replace(REQUEST, method=Method(details["method"]), plan=details["plan"])
    assert studio.queue.wait(studio.trainings.start(again).id, 30).status.state is State.SUCCEEDED


def test_whoever_wants_to_starts_it_anyway(studio: Studio) -> None:
    job = studio.trainings.start(replace(REQUEST, even_if_too_large=True))
    assert studio.queue.wait(job.id, 30).status.state is State.SUCCEEDED


def test_a_comparison_goes_on_without_the_methods_that_find_no_room(studio: Studio) -> None:
    every = replace(REQUEST, photos=GOOD[:3], plan={"batch_size": 24})
    started = studio.comparing.start(every, ["lora", "dreambooth"])
    assert [job.payload["method"] for job in started.jobs] == ["lora"]
    assert isinstance(started.left_out["dreambooth"], PlanTooLarge)
    studio.queue.wait(started.jobs[0].id, 30)
    with pytest.raises(PlanTooLarge):
        studio.comparing.start(replace(every, name="Berta"), ["dreambooth"])
    assert [avatar.name for avatar in studio.avatars.all()] == ["Anna"]


def test_the_api_answers_507_with_what_would_fit(studio: Studio) -> None:
    app = FastAPI()
    app.include_router(build_router(studio))
    client = TestClient(app)
    anna = {"user_id": "u", "instance_name": "Anna", "images": [encoded(GOOD[0])]}
    body = {**anna, "method": "dreambooth", "plan": LARGE}
    answer = client.post(f"{V1}/models/train", json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (507, "PLAN_TOO_LARGE")
    assert problem["details"]["override"] == "even_if_too_large"
    fitting = {**body, "method": problem["details"]["method"], "plan": problem["details"]["plan"]}
    assert client.post(f"{V1}/models/train", json=fitting).status_code == 202
    bold = {**body, "instance_name": "Berta", "even_if_too_large": True}
    assert client.post(f"{V1}/models/train", json=bold).status_code == 202
    for view in studio.jobs.views():
        studio.queue.wait(view.job.id, 30)


def test_nobody_waits_while_the_plan_of_another_is_reckoned(studio: Studio) -> None:
    with studio.starting, pytest.raises(PlanTooLarge):
        studio.trainings.start(REQUEST)


def test_a_training_under_way_counts_as_reckoned_where_nobody_tells_what_it_holds(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, whose driver tells nothing of single processes."""
    monkeypatch.setattr(free, "measured", lambda ours=(), index=0: Free("vram", 1.0, 12.0, "Some Card", tuple(ours)))
    assert studio.sizing.free().free_gb == 1.0
    job = studio.trainings.start(replace(REQUEST, plan={}, method=Method.LORA, even_if_too_large=True))
    ended = studio.queue.wait(job.id, 30)
    running = replace(ended, status=replace(ended.status, pid=4711))
    monkeypatch.setattr(studio.jobs, "views", lambda states: [running])
    predicted = fitting.predicted_gb(Wish(studio.host.checkpoint(), Method.LORA, job.payload["plan"], "vram"))
    assert studio.sizing.free().free_gb == pytest.approx(1.0 + predicted)
    studio.host.checkpoint().path.unlink()
    assert studio.sizing.free().free_gb == 1.0


def test_room_is_made_for_as_much_as_a_training_is_admitted_by(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the margin of what was never measured, then as was learned from a training like it."""
    wanted: list[int] = []
    monkeypatch.setattr(type(studio.host), "make_room", lambda self, bytes_, waiting: wanted.append(bytes_))
    monkeypatch.setattr(free, "measured", lambda ours=(), index=0: Free("ram", 3.9, 4.0))
    wish = Wish(studio.host.checkpoint(), Method.LORA, {}, "ram")
    for number, photo in enumerate(GOOD[:2]):
        known = learned.load(studio.host.folders().data)
        asked = replace(REQUEST, name=f"Anna {number}", photos=(photo,), plan={}, method=Method.LORA)
        job = studio.trainings.start(asked)
        assert studio.queue.wait(job.id, 30).status.state is State.SUCCEEDED
        wish = replace(wish, values=job.payload["plan"])
        assert wanted.pop() == pytest.approx(fitting.needed_gb(wish, known) * free.GB, abs=1)
    assert wanted == [] and len(known.ratios) == 1


def test_what_a_training_took_is_remembered_without_a_word_about_the_person(studio: Studio) -> None:
    job = studio.trainings.start(replace(REQUEST, plan={}, method=Method.LORA))
    studio.queue.wait(job.id, 30)
    data = studio.host.folders().data
    ((case, ratio),) = learned.load(data).ratios
    assert (case.memory, case.family, case.method) == ("ram", "sd1", "lora")
    assert 0.5 < ratio < 2.0
    said = (data / learned.FILE).read_text()
    assert "anna" not in said.lower() and job.id not in said
    assert json.loads(said)["version"] == learned.VERSION


def test_a_training_that_the_system_ended_for_want_of_memory_names_a_smaller_plan(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel counts one such end more than before; the child itself could say nothing."""
    counts = iter([3, *[4] * 1000])
    monkeypatch.setattr(endings, "oom_kills", lambda: next(counts))
    studio.host.learn = "os.kill(os.getpid(), signal.SIGKILL)"  # type: ignore[attr-defined]
    view = studio.queue.wait(studio.trainings.start(replace(REQUEST, even_if_too_large=True)).id, 30)
    assert view.status.error and view.status.error["code"] == "OUT_OF_MEMORY"
    assert view.status.error["details"]["changes"]
    assert "Train with a smaller plan" in view.status.error["hint"]
