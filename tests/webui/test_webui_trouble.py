"""What goes wrong is named, loses nothing and leaves the WebUI alive."""
from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from personal_avatar.jobs.events import Log, Progress, read_events

from tests.webui.webui_data import end_workers, linked_data, training, worker
from tests.webui.webui_families import wait_for_sampling
from tests.webui.webui_server import Server

LONG = 20000


def start_long(server: Server, name: str) -> str:
    accepted = server.post("/personal-avatar/v1/models/train", training(name, steps=LONG))
    assert accepted.status_code == 202, accepted.text
    return str(accepted.json()["training_job_id"])


def wait_for_steps(server: Server, job_id: str, after: int = 0, wait_s: float = 600) -> dict[str, Any]:
    end = time.monotonic() + wait_s
    while not ((job := server.job(job_id))["stage"] == "train" and job["step"] > after):
        assert time.monotonic() < end and job["state"] in ("queued", "running"), job
        time.sleep(0.3)
    return job


def test_two_starts_at_once_become_one_training(server: Server) -> None:
    body = training("Twice", steps=LONG)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: server.post("/personal-avatar/v1/models/train", body), range(4)))
    assert sorted(answer.status_code for answer in answers) == [202, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status_code == 409).json()
    assert refused["code"] == "WRONG_STATE" and refused["hint"]
    job_id = next(answer for answer in answers if answer.status_code == 202).json()["training_job_id"]
    server.post(f"/personal-avatar/v1/jobs/{job_id}/cancel", {"keep_checkpoint": False})
    assert server.wait_job(job_id)["state"] == "cancelled"


def kill(data: Path, job_id: str) -> None:
    running = worker(data, job_id)
    assert running is not None
    running.kill()


def test_a_training_that_is_killed_before_anything_was_kept_is_named_and_the_webui_lives(
    server: Server, data: Path
) -> None:
    job_id = start_long(server, "Killed")
    wait_for_steps(server, job_id)
    kill(data, job_id)
    job = server.wait_job(job_id, wait_s=30)
    assert (job["state"], job["error"]["code"], job["restarts"]) == ("failed", "KILLED", 0)
    assert job["error"]["hint"]
    refused = server.post(f"/personal-avatar/v1/jobs/{job_id}/resume")
    assert (refused.status_code, refused.json()["code"]) == (409, "WRONG_STATE")
    assert server.alive() and server.txt2img("a portrait", steps=2)["images"]


def test_a_training_that_is_killed_goes_on_twice_by_itself_and_then_when_it_is_asked(
    server: Server, data: Path
) -> None:
    job_id = start_long(server, "Stubborn")
    wait_for_steps(server, job_id)
    server.post(f"/personal-avatar/v1/jobs/{job_id}/pause")
    kept = server.wait_job(job_id, until=("paused",), wait_s=120)["step"]
    server.post(f"/personal-avatar/v1/jobs/{job_id}/resume")
    for restarts in range(3):
        wait_until_it_goes_on(data, job_id, kept, times=restarts + 1)
        assert (job := server.job(job_id))["state"] == "running" and job["restarts"] == restarts
        kill(data, job_id)
    job = server.wait_job(job_id, wait_s=30)
    assert (job["state"], job["error"]["code"], job["restarts"]) == ("failed", "KILLED", 2)

    assert server.post(f"/personal-avatar/v1/jobs/{job_id}/resume").status_code == 200
    wait_until_it_goes_on(data, job_id, kept, times=4)
    assert server.job(job_id)["error"] is None
    server.post(f"/personal-avatar/v1/jobs/{job_id}/cancel", {"keep_checkpoint": False})
    assert server.wait_job(job_id)["state"] == "cancelled"


def wait_until_it_goes_on(data: Path, job_id: str, kept: int, times: int, wait_s: float = 180) -> None:
    """Until the training has gone on so many times from the step that was kept, and has made steps since."""
    end = time.monotonic() + wait_s
    while not _goes_on(data / "personal-avatar" / "jobs" / job_id, kept, times):
        assert time.monotonic() < end
        time.sleep(0.2)


def _goes_on(folder: Path, kept: int, times: int) -> bool:
    told = [record.event for record in read_events(folder)]
    starts = [
        number for number, event in enumerate(told)
        if isinstance(event, Log) and event.message.startswith(f"Going on from step {kept} ")
    ]
    steps = [event.step for event in told[starts[-1] :] if isinstance(event, Progress)] if starts else []
    return len(starts) == times and max(steps, default=0) > kept


def test_events_come_at_once_although_the_webui_packs_its_answers(server: Server, avatar: dict[str, Any]) -> None:
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "portrait of {subject}", "num_images": 30, "settings": {"steps": 40},
    })
    job_id = accepted.json()["generation_job_id"]
    url = f"{server.url}/personal-avatar/v1/jobs/{job_id}/events"
    with httpx.stream("GET", url, headers={"Accept-Encoding": "gzip"}, timeout=30) as answer:
        kinds = [line for line in itertools.islice(answer.iter_lines(), 20) if line.startswith("event: ")]
    assert kinds[0] == "event: state" and "event: started" in kinds
    server.post(f"/personal-avatar/v1/jobs/{job_id}/cancel")
    assert server.wait_job(job_id)["state"] == "cancelled"


def test_the_webui_makes_pictures_while_it_trains_and_the_training_goes_on(server: Server) -> None:
    job_id = start_long(server, "Busy")
    before = wait_for_steps(server, job_id)["step"]
    assert server.txt2img("a portrait", steps=8)["images"]
    wait_for_steps(server, job_id, after=before)
    server.post(f"/personal-avatar/v1/jobs/{job_id}/cancel", {"keep_checkpoint": True})
    assert server.wait_job(job_id)["state"] == "cancelled"


def test_interrupt_of_the_webui_ends_the_making_of_portraits(server: Server, avatar: dict[str, Any]) -> None:
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "portrait of {subject}", "num_images": 100, "settings": {"steps": 40},
    })
    job_id = accepted.json()["generation_job_id"]
    end = time.monotonic() + 120
    while server.get("/sdapi/v1/progress").json()["textinfo"] != "Personal Avatar":
        assert time.monotonic() < end
        time.sleep(0.05)
    server.post("/sdapi/v1/interrupt")
    job = server.wait_job(job_id, wait_s=20)
    assert (job["state"], job["error"]["code"]) == ("cancelled", "CANCELLED")
    assert server.txt2img("a portrait", steps=2)["images"]


def test_interrupt_ends_the_making_of_portraits_while_the_last_one_is_looked_at(
    server: Server, avatar: dict[str, Any]
) -> None:
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "portrait of {subject}", "num_images": 100, "settings": {"steps": 2},
    })
    job_id, end = accepted.json()["generation_job_id"], time.monotonic() + 120
    while server.job(job_id)["step"] == 0 or server.get("/sdapi/v1/progress").json()["state"]["job"]:
        assert time.monotonic() < end
    server.post("/sdapi/v1/interrupt")
    assert server.wait_job(job_id, wait_s=20)["state"] == "cancelled"


def test_cancel_of_ours_stops_within_a_picture(server: Server, avatar: dict[str, Any]) -> None:
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "portrait of {subject}", "num_images": 8, "settings": {"steps": 150},
    })
    job_id = accepted.json()["generation_job_id"]
    wait_for_sampling(server, 3)
    server.post(f"/personal-avatar/v1/jobs/{job_id}/cancel")
    assert server.wait_job(job_id, wait_s=10)["state"] == "cancelled"


def test_an_unknown_sampler_is_refused_by_name(server: Server, avatar: dict[str, Any]) -> None:
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "{subject}", "num_images": 1, "settings": {"sampler": "No Such Sampler"},
    })
    job = server.wait_job(accepted.json()["generation_job_id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "GENERATION_FAILED")
    assert "No Such Sampler" in job["error"]["message"]


def test_the_options_of_the_user_are_as_before(server: Server, avatar: dict[str, Any]) -> None:
    options = server.get("/sdapi/v1/options").json()
    accepted = server.post("/personal-avatar/v1/images/generate_avatar", {
        "model_id": avatar["id"], "prompt": "{subject}", "num_images": 1, "settings": {"steps": 2},
    })
    assert server.wait_job(accepted.json()["generation_job_id"])["state"] == "succeeded"
    assert server.get("/sdapi/v1/options").json() == options


def test_api_auth_protects_our_routes_too(data: Path) -> None:
    with Server(data, flags=("--nowebui", "--api-auth", "anna:secret")) as server:
        for path in ("/health", "/models", "/jobs", "/styles"):
            assert server.get(f"/personal-avatar/v1{path}").status_code == 401
            assert server.get(f"/personal-avatar/v1{path}", auth=("anna", "wrong")).status_code == 401
            assert server.get(f"/personal-avatar/v1{path}", auth=("anna", "secret")).status_code == 200
        assert server.post("/sdapi/v1/txt2img").status_code == 401


def test_jobs_survive_the_end_of_the_webui(data: Path, server: Server) -> None:
    """A WebUI of its own on a copy of the data folder: its worker outlives it and is found again."""
    other = linked_data(data, "other")
    with Server(other, flags=("--nowebui",)) as first:
        job_id = start_long(first, "Survivor")
        wait_for_steps(first, job_id)
    assert worker(other, job_id) is not None
    try:
        with Server(other, flags=("--nowebui",)) as second:
            assert wait_for_steps(second, job_id)["state"] == "running"
            second.post(f"/personal-avatar/v1/jobs/{job_id}/cancel", {"keep_checkpoint": False})
            assert second.wait_job(job_id)["state"] == "cancelled"
    finally:
        end_workers(other)
