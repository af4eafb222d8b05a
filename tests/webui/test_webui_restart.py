"""The WebUI ends in the middle of a training, killed or in order: the training goes on, and nothing of it is lost."""
from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.jobs.control import YIELD, Control

from tests.webui.test_webui_trouble import wait_for_steps
from tests.webui.webui_data import end_workers, linked_data, training, worker
from tests.webui.webui_server import Server

WITHOUT_PAGE = ("--nowebui",)


@pytest.fixture()
def folder(data: Path, server: Server) -> Iterator[Path]:
    """A data folder with what the first WebUI has installed for training."""
    made = linked_data(data, "restarted")
    yield made
    end_workers(made)


def wait_parked(server: Server, job_id: str) -> None:
    end = time.monotonic() + 60
    while not server.job(job_id)["parked"]:
        assert time.monotonic() < end
        time.sleep(0.1)


def wait_gone(folder: Path, job_id: str) -> None:
    end = time.monotonic() + 300
    while worker(folder, job_id) is not None:
        assert time.monotonic() < end
        time.sleep(0.3)


def test_a_training_outlives_two_ends_of_the_webui_and_is_published_by_the_third(folder: Path) -> None:
    """Whoever else wants the card holds the training until the WebUI has been there and gone twice."""
    with Server(folder, flags=WITHOUT_PAGE) as first:
        accepted = first.post("/personal-avatar/v1/models/train", training("Survivor", steps=60)).json()
        job_id = accepted["training_job_id"]
        wait_for_steps(first, job_id)
        control = Control(folder / "personal-avatar" / "jobs" / job_id)
        asker = control.join(YIELD)
        wait_parked(first, job_id)
        assert first.process is not None
        first.process.kill()
    kept = worker(folder, job_id)
    assert kept is not None

    with Server(folder, flags=WITHOUT_PAGE) as second:
        assert second.job(job_id)["state"] == "running" and second.job(job_id)["parked"]
        assert second.txt2img("a portrait", steps=2)["images"]
        assert second.process is not None
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(30) == 0
    again = worker(folder, job_id)
    assert again is not None and again.pid == kept.pid
    control.leave(asker)
    wait_gone(folder, job_id)

    with Server(folder, flags=WITHOUT_PAGE) as third:
        job = third.wait_job(job_id)
        assert job["state"] == "succeeded", job["error"]
        model = third.get(f"/personal-avatar/v1/models/{job['model_id']}").json()
        name = Path(model["checkpoints"][0]["file"]).stem
        assert name in {lora["name"] for lora in third.get("/sdapi/v1/loras").json()}
        assert f"{name}.safetensors: works" in third.log()
        with_it, without = (third.txt2img(f"a portrait <lora:{name}:{weight}>")["images"] for weight in (1, 0))
        assert with_it != without
