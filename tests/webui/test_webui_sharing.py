"""A picture of the WebUI comes first: a training parks for it and goes on, whatever becomes of the picture."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from personal_avatar.jobs.events import Parked, Progress, Record, read_events
from safetensors.numpy import load_file

from tests.webui.test_webui_trouble import LONG, wait_for_steps
from tests.webui.webui_data import end_workers, linked_data, training
from tests.webui.webui_server import Server, picture_request

PROBE = Path(__file__).parent / "probe_sharing"
GIB = 2**30
FAR_TOO_LARGE = {"enable_hr": True, "hr_scale": 1.1, "hr_upscaler": "there is no such upscaler"}


@pytest.fixture(scope="module")
def folder(data: Path, server: Server) -> Iterator[Path]:
    """A data folder with what the first WebUI has installed for training, and with the probe."""
    made = linked_data(data, "sharing")
    (made / "extensions" / "zz-probe").symlink_to(PROBE)
    yield made
    end_workers(made)


@pytest.fixture(scope="module")
def sharing(folder: Path) -> Iterator[Server]:
    with Server(folder, flags=("--nowebui",)) as running:
        yield running


@pytest.fixture(scope="module")
def job(sharing: Server, folder: Path) -> Job:
    """A training under way."""
    accepted = sharing.post("/personal-avatar/v1/models/train", training("Shared", steps=LONG))
    assert accepted.status_code == 202, accepted.text
    job_id = accepted.json()["training_job_id"]
    wait_for_steps(sharing, job_id)
    return Job(sharing, job_id, folder / "personal-avatar" / "jobs" / job_id)


class Job:
    """What a training has told since it was asked last."""

    def __init__(self, server: Server, job_id: str, folder: Path) -> None:
        self.server, self.id, self._folder, self._seen = server, job_id, folder, 0

    def news(self) -> list[Record]:
        found = list(read_events(self._folder, self._seen))
        self._seen = found[-1].id if found else self._seen
        return found

    def until_it_goes_on(self) -> list[Record]:
        """What it told, when it works again after it has parked, or has worked all the time."""
        told: list[Record] = []

        def goes_on() -> bool:
            told.extend(self.news())
            parkings = [record.event.parked for record in told if isinstance(record.event, Parked)]
            return told[-1:] != [] and isinstance(told[-1].event, Progress) and not any(parkings[-1:])

        until(goes_on)
        return told


def until(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.05)


def parkings(told: list[Record]) -> list[bool]:
    return [record.event.parked for record in told if isinstance(record.event, Parked)]


@pytest.fixture()
def quiet(job: Job) -> Job:
    """The training works, and what it told before is forgotten."""
    time.sleep(2.0)
    job.until_it_goes_on()
    return job


def test_it_parks_before_the_first_step_and_goes_on_after_the_picture(
    sharing: Server, quiet: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    clicked = time.time()
    sharing.txt2img("a portrait", steps=20)
    made = time.time()
    waits = sharing.job(quiet.id)
    sampled = sharing.get("/probe/sampling").json()[-1]
    told = quiet.until_it_goes_on()
    assert parkings(told) == [True, False]
    away, back = (record for record in told if isinstance(record.event, Parked))
    assert clicked <= away.at <= sampled <= made <= back.at
    assert not [record for record in told if isinstance(record.event, Progress) and away.at < record.at < back.at]
    assert waits["parked"] and waits["state"] == "running" and waits["stage"] == "train"
    assert not sharing.job(quiet.id)["parked"]
    with capsys.disabled():
        print(  # noqa: T201
            f"\nfrom the call to Parked {away.at - clicked:.2f} s, to the first step {sampled - clicked:.2f} s; "
            f"from the picture to going on {back.at - made:.2f} s"
        )


def test_pictures_in_quick_succession_are_one_stop(sharing: Server, quiet: Job) -> None:
    for seed in range(3):
        sharing.txt2img("a portrait", steps=4, seed=seed)
    assert parkings(quiet.until_it_goes_on()) == [True, False]


def test_a_picture_is_the_same_beside_a_training(sharing: Server, server: Server, quiet: Job) -> None:
    assert sharing.txt2img("a portrait")["images"] == server.txt2img("a portrait")["images"]


@pytest.mark.parametrize("door", ["img2img", "extra-single-image"])
def test_other_work_of_the_webui_comes_first_too(sharing: Server, quiet: Job, door: str) -> None:
    picture = sharing.txt2img("a portrait", steps=1)["images"][0]
    quiet.until_it_goes_on()
    body: dict[str, Any] = {"image": picture, "upscaler_1": "Lanczos", "upscaling_resize": 2}
    if door == "img2img":
        body = {**picture_request("a portrait"), "init_images": [picture], "steps": 4}
    assert sharing.post(f"/sdapi/v1/{door}", body).status_code == 200
    assert parkings(quiet.until_it_goes_on()) == [True, False]


def test_it_goes_on_after_a_picture_that_failed(sharing: Server, quiet: Job) -> None:
    answer = sharing.post("/sdapi/v1/txt2img", {**picture_request("a portrait"), **FAR_TOO_LARGE})
    assert answer.status_code == 500
    assert parkings(quiet.until_it_goes_on()) == [True, False]


def test_it_goes_on_after_a_picture_that_was_interrupted_and_one_that_nobody_waited_for(
    sharing: Server, quiet: Job
) -> None:
    before = len(sharing.get("/probe/sampling").json())
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{sharing.url}/sdapi/v1/txt2img", json={**picture_request("a portrait"), "steps": 150}, timeout=0.5)
    until(lambda: len(sharing.get("/probe/sampling").json()) > before)
    sharing.post("/sdapi/v1/interrupt")
    assert parkings(quiet.until_it_goes_on()) == [True, False]


def test_nobody_parks_where_both_fit(sharing: Server, quiet: Job) -> None:
    try:
        for free, parked in ((200 * GIB, []), (GIB, [True, False])):
            sharing.post("/probe/card", {"free": free})
            sharing.txt2img("a portrait", steps=4)
            assert parkings(quiet.until_it_goes_on()) == parked
    finally:
        sharing.post("/probe/card", {"free": -1})


def test_the_webuis_checkpoint_makes_room_and_is_back_for_the_next_picture(sharing: Server) -> None:
    before = sharing.txt2img("a portrait", steps=4)["images"]
    try:
        assert not sharing.post("/probe/make_room", {"wanted": GIB}).json()["went"]
        sharing.post("/probe/card", {"free": 2 * GIB})
        assert not sharing.post("/probe/make_room", {"wanted": GIB}).json()["went"]
        assert sharing.post("/probe/make_room", {"wanted": 3 * GIB}).json() == {"went": True, "device": "cpu"}
        assert sharing.txt2img("a portrait", steps=4)["images"] == before
    finally:
        sharing.post("/probe/card", {"free": -1})
        sharing.post("/probe/make_room", {"wanted": 0})


def test_it_can_be_paused_and_goes_on_from_the_same_step(sharing: Server, quiet: Job) -> None:
    assert sharing.post(f"/personal-avatar/v1/jobs/{quiet.id}/pause").status_code == 200
    paused = sharing.wait_job(quiet.id, until=("paused",), wait_s=60)
    sharing.txt2img("a portrait", steps=2)
    assert sharing.post(f"/personal-avatar/v1/jobs/{quiet.id}/resume").status_code == 200
    until(lambda: sharing.job(quiet.id)["step"] > paused["step"] > 0)
    sharing.txt2img("a portrait", steps=2)
    assert parkings(quiet.until_it_goes_on())[-2:] == [True, False]


def test_what_is_trained_is_the_same_with_and_without_pictures_meanwhile(
    sharing: Server, job: Job, folder: Path
) -> None:
    sharing.post(f"/personal-avatar/v1/jobs/{job.id}/cancel", {"keep_checkpoint": False})
    sharing.wait_job(job.id)

    def trained(pictures: int) -> tuple[dict[str, Any], int]:
        """The tensors of the published LoRA, and how often the training parked."""
        accepted = sharing.post("/personal-avatar/v1/models/train", training("Same", steps=40, must_rise=False)).json()
        job_id = accepted["training_job_id"]
        wait_for_steps(sharing, job_id)
        for seed in range(pictures):
            sharing.txt2img("a portrait", steps=3, seed=seed)
            time.sleep(2.0)
        ended = sharing.wait_job(job_id)
        assert ended["state"] == "succeeded", ended["error"]
        model = sharing.get(f"/personal-avatar/v1/models/{ended['model_id']}").json()
        tensors = load_file(folder / "models" / "Lora" / model["checkpoints"][0]["file"])
        stops = parkings(list(read_events(folder / "personal-avatar" / "jobs" / job_id)))
        assert sharing.delete(f"/personal-avatar/v1/models/{ended['model_id']}").status_code in (200, 204)
        return tensors, sum(stops)

    (alone, _), (beside, stops) = trained(0), trained(2)
    assert stops >= 1
    assert alone.keys() == beside.keys()
    assert all(np.array_equal(alone[name], beside[name]) for name in alone)
