"""The HTTP API as a client sees it: photos in, avatar out, portraits ranked, person erased."""
from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api import answers
from personal_avatar.api.guard import Accounts
from personal_avatar.api.routes import build_router
from personal_avatar.studio import Studio
from PIL import Image

from tests.unit.api.house import GOOD, SAMPLES, encoded

pytestmark = pytest.mark.slow

V1 = "/personal-avatar/v1"


def train(client: TestClient, **changes: Any) -> Any:
    body = {"user_id": "u1", "instance_name": "Ánna", "class_type": "woman", "images": [encoded(GOOD[0])], **changes}
    return client.post(f"{V1}/models/train", json=body)


def ended(client: TestClient, job_id: str) -> dict[str, Any]:
    for _ in range(1000):
        job = client.get(f"{V1}/jobs/{job_id}").json()
        if job["state"] not in ("queued", "running"):
            return dict(job)
        time.sleep(0.05)
    raise AssertionError(f"{job_id} does not end")


def trained(client: TestClient, **changes: Any) -> dict[str, Any]:
    return ended(client, train(client, **changes).json()["training_job_id"])


def generated(client: TestClient, **changes: Any) -> dict[str, Any]:
    body = {"model_id": "anna", "style_template": "oil-painting", "num_images": 4, "seed": 7, "restore": False}
    answer = client.post(f"{V1}/images/generate_avatar", json={**body, **changes})
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] in ("queued", "processing")
    return ended(client, answer.json()["generation_job_id"])


def test_a_training_is_accepted_and_becomes_a_model(client: TestClient) -> None:
    answer = train(client)
    assert answer.status_code == 202
    told = {"training_job_id", "status", "estimated_time", "starts_in_s", "position", "differences"}
    assert told == set(answer.json())
    assert answer.json()["status"] in ("queued", "processing")
    job = ended(client, answer.json()["training_job_id"])
    assert job["method"] == "lora"
    assert (job["state"], job["progress"], job["model_id"]) == ("succeeded", 1.0, "anna")
    model = client.get(f"{V1}/models/anna").json()
    assert (model["name"], model["state"], model["photos"]) == ("Ánna", "ready", 1)
    assert model["prompt"] == "<lora:anna:1> sks woman"
    assert model["likeness"]["recovered"] == pytest.approx(0.5)


def test_nothing_that_goes_out_holds_an_embedding_or_a_folder(client: TestClient, studio: Studio) -> None:
    job = trained(client)
    generated(client)
    home = str(studio.host.folders().data)
    addresses = ["/models", "/models/anna", "/jobs", f"/jobs/{job['id']}", f"/jobs/{job['id']}/events"]
    for address in addresses:
        text = client.get(V1 + address).text
        assert "reference" not in text
        assert "embedding" not in text
        assert home not in text
    assert job["result"]["files"] == ["anna.safetensors"]
    assert job["result"]["choice"].startswith("The checkpoint of step 2") and len(job["result"]["advice"]) == 1
    assert (job["result"]["diversity"], job["result"]["report"]) == (0.8, "report.html")


def test_portraits_come_ranked_by_likeness_as_png(client: TestClient) -> None:
    trained(client)
    job = generated(client, restore=True)
    images = job["result"]["images"]
    scores = [image["likeness"] for image in images]
    assert scores[0] > 0.9 > scores[2]
    assert scores[3] is None
    assert scores[:3] == sorted(scores[:3], reverse=True)
    for image in images:
        answer = client.get(image["url"])
        assert answer.headers["content-type"] == "image/png"
        assert Image.open(io.BytesIO(answer.content)).format == "PNG"
    assert client.get(f"{V1}/jobs/{job['id']}/images/4").status_code == 404


def test_a_prompt_works_in_place_of_a_style(client: TestClient, studio: Studio) -> None:
    trained(client)
    generated(client, style_template=None, prompt="{subject} on the moon", negative_prompt="clouds")
    request = studio.host.requests[-1]  # type: ignore[attr-defined]
    assert request.prompt == "<lora:anna:1> sks woman on the moon"
    assert request.negative_prompt == "clouds"


@pytest.mark.parametrize("wanted", [
    {"style_template": ["oil-painting"], "negative_prompt": "clouds"},
    {"style_template": None, "prompt": "{subject} on the moon"},
])
def test_the_request_for_more_like_a_picture_is_taken_as_it_comes(
    client: TestClient, studio: Studio, wanted: dict[str, Any]
) -> None:
    trained(client)
    job = generated(client, **wanted, settings={"steps": 9})
    first = job["result"]["images"][0]
    more = client.get(f"{V1}/jobs/{job['id']}/images/0/similar").json()["request"]
    told = {name: value for name, value in more.items() if name in ("model_id", *wanted, "seed", "restore")}
    kept = {name: value for name, value in wanted.items() if value}
    assert told == {"model_id": "anna", "seed": first["seed"], "restore": False, **kept}
    assert more["settings"]["steps"] == 9 and 0 < more["strength"] < 1
    again = generated(client, **{"style_template": None, **more, "num_images": 1}, image=encoded(GOOD[0]))
    task, other = (studio.jobs.view(one["id"]).job.payload for one in (job, again))
    assert again["result"]["images"][0]["seed"] == first["seed"]
    assert other["styles"] == task["styles"] and other["settings"]["steps"] == 9 and not other["settings"]["restore"]


def test_who_does_not_say_how_many_gets_one_of_each_style_at_least(client: TestClient) -> None:
    trained(client)
    known = [style["id"] for style in client.get(f"{V1}/styles").json()["styles"]]
    body = {"model_id": "anna", "style_template": known[:5], "restore": False}
    job = ended(client, client.post(f"{V1}/images/generate_avatar", json=body).json()["generation_job_id"])
    assert len(job["result"]["images"]) == 5
    few = client.post(f"{V1}/images/generate_avatar", json={**body, "num_images": 3})
    assert few.status_code == 422 and "5 styles" in few.text


def test_the_time_of_portraits_is_estimated_from_earlier_ones(client: TestClient) -> None:
    trained(client)
    body = {"model_id": "anna", "style_template": "oil-painting", "num_images": 1, "restore": False}
    first = client.post(f"{V1}/images/generate_avatar", json=body).json()
    assert first["estimated_time"] is None
    ended(client, first["generation_job_id"])
    assert client.post(f"{V1}/images/generate_avatar", json=body).json()["estimated_time"] is not None


def test_lists_are_filtered_by_user_and_state(client: TestClient) -> None:
    trained(client, user_id="u1")
    trained(client, user_id="u2")
    ids = [model["id"] for model in client.get(f"{V1}/models").json()["models"]]
    assert ids == ["anna", "anna-2"]
    mine = client.get(f"{V1}/models", params={"user_id": "u2"}).json()["models"]
    assert [model["id"] for model in mine] == ["anna-2"]
    jobs = client.get(f"{V1}/jobs", params={"user_id": "u1"}).json()["jobs"]
    assert [job["user_id"] for job in jobs] == ["u1"]
    assert client.get(f"{V1}/jobs", params={"state": "running"}).json() == {"jobs": []}
    assert client.get(f"{V1}/jobs", params={"state": "asleep"}).status_code == 422


def test_erasing_a_person_leaves_nothing(client: TestClient, studio: Studio) -> None:
    trained(client)
    generated(client)
    answer = client.delete(f"{V1}/models/anna")
    assert answer.status_code == 200
    assert answer.json()["left"] == []
    erased = answer.json()["erased"]
    folder = studio.host.folders().loras.name
    assert f"{folder}/anna.safetensors" in erased and erased[-2:] == ["1 photo", "2 jobs"]
    assert client.get(f"{V1}/models").json() == {"models": []}
    assert client.get(f"{V1}/jobs").json() == {"jobs": []}
    data = studio.host.folders().data
    assert not list((data / "avatars").iterdir())
    assert not list(studio.host.folders().loras.iterdir())
    assert client.delete(f"{V1}/models/anna").status_code == 404


def test_a_person_whose_file_is_damaged_can_be_erased(client: TestClient, studio: Studio) -> None:
    trained(client)
    (studio.avatars.folder("anna") / "avatar.json").write_text("{")
    erased = client.delete(f"{V1}/models/anna").json()["erased"]
    assert "loras/anna.safetensors" in erased and erased[-2:] == ["1 photo", "1 job"]
    assert not list((studio.host.folders().data / "avatars").iterdir())


def test_an_erased_file_is_told_with_the_innermost_folder_in_which_the_host_finds_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    loras = tmp_path / "Lora"
    folders = replace(studio.host.folders(), loras=loras, more_loras=(tmp_path / "LyCORIS", loras / "people"))
    monkeypatch.setattr(studio.host, "_folders", folders)
    files = ["Lora/a.pt", "Lora/mine/a.pt", "LyCORIS/a.pt", "Lora/people/a.pt", "elsewhere/a.pt"]
    told = answers.erased(studio, {"erased": [str(tmp_path / file) for file in files], "left": ["2 jobs"]})
    shown = ["Lora/a.pt", "Lora/mine/a.pt", "LyCORIS/a.pt", "people/a.pt", "a.pt"]
    assert told["erased"] == shown and told["left"] == ["2 jobs"]


@pytest.fixture()
def held(client: TestClient, studio: Studio) -> dict[str, Any]:
    """A training that runs until it is cancelled, because a file `hold` lies in its folder."""
    from personal_avatar.jobs import process

    start = process.start

    def start_held(folder: Path, *rest: Any) -> Any:
        (folder / "control").mkdir(exist_ok=True)
        (folder / "control" / "hold").touch()
        return start(folder, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "start", start_held)
        job_id = train(client).json()["training_job_id"]
        for _ in range(1000):
            job = client.get(f"{V1}/jobs/{job_id}").json()
            if job["step"]:
                return dict(job)
            time.sleep(0.05)
    raise AssertionError("it does not begin")


def test_a_second_start_of_one_avatar_is_refused(client: TestClient, held: dict[str, Any]) -> None:
    assert client.get(f"{V1}/models/anna").json()["state"] == "training"
    answer = train(client)
    assert (answer.status_code, answer.json()["code"]) == (409, "WRONG_STATE")
    assert held["id"] in answer.json()["detail"]
    erase = client.delete(f"{V1}/models/anna")
    assert erase.status_code == 409
    client.post(f"{V1}/jobs/{held['id']}/cancel")
    assert ended(client, held["id"])["state"] == "cancelled"


def test_a_job_is_cancelled_once(client: TestClient, held: dict[str, Any]) -> None:
    assert client.post(f"{V1}/jobs/{held['id']}/cancel", json={"keep_checkpoint": False}).status_code == 200
    job = ended(client, held["id"])
    assert (job["state"], job["error"]["code"]) == ("cancelled", "CANCELLED")
    assert client.post(f"{V1}/jobs/{held['id']}/cancel").status_code == 409


def test_what_cannot_be_paused_or_resumed_is_said(client: TestClient, held: dict[str, Any]) -> None:
    address = f"{V1}/jobs/{held['id']}"
    answers = [client.post(f"{address}/resume"), client.post(f"{address}/cancel"), client.post(f"{address}/pause")]
    assert [answer.status_code for answer in answers] == [409, 200, 409]
    assert [answers[n].json()["code"] for n in (0, 2)] == ["WRONG_STATE"] * 2
    client.post(f"{V1}/jobs/{held['id']}/cancel")
    ended(client, held["id"])


def messages(text: str) -> list[dict[str, str]]:
    """Server-sent events of a finished stream."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def test_events_stream_until_the_end_and_resume_where_they_stopped(client: TestClient) -> None:
    job_id = train(client).json()["training_job_id"]
    with client.stream("GET", f"{V1}/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        found = messages(answer.read().decode())
    kinds = [message["event"] for message in found]
    assert kinds[-1] == "end"
    assert [kind for kind in kinds if kind not in ("state", "end")] == ["started", "progress", "progress", "done"]
    assert json.loads(found[-1]["data"])["state"] == "succeeded"
    seen = next(message["id"] for message in found if message["event"] == "progress")
    rest = messages(client.get(f"{V1}/jobs/{job_id}/events", headers={"Last-Event-ID": seen}).text)
    assert [message["event"] for message in rest] == ["progress", "done", "end"]
    last = next(message["id"] for message in found if message["event"] == "done")
    assert client.get(f"{V1}/jobs/{job_id}/events", headers={"Last-Event-ID": last}).status_code == 204
    assert client.get(f"{V1}/jobs/{job_id}/events", headers={"Last-Event-ID": "x"}).status_code == 422
    anew = client.get(f"{V1}/jobs/{job_id}/events", headers={"Last-Event-ID": ""})  # as of a client that knows none
    assert [message["event"] for message in messages(anew.text)][-2:] == ["done", "end"]


def test_the_log_is_plain_text(client: TestClient) -> None:
    job = trained(client)
    answer = client.get(f"{V1}/jobs/{job['id']}/log")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")


def test_photos_are_checked_one_by_one(client: TestClient) -> None:
    files = [GOOD[0], SAMPLES / "no-face.jpg", SAMPLES / "two-people.jpg"]
    images = ["data:image/jpeg;base64," + encoded(file) for file in files] + ["bm8gcGljdHVyZQ=="]
    answer = client.post(f"{V1}/photos/check", json={"images": images})
    assert answer.status_code == 200, answer.text
    photos = answer.json()["photos"]
    assert [photo["path"] for photo in photos] == [f"images[{number}]" for number in range(4)]
    assert photos[0]["verdict"] == "accepted"
    assert [photo["reasons"][0] for photo in photos[1:]] == ["NO_FACE", "SEVERAL_FACES", "UNREADABLE"]
    assert answer.json()["set"]["accepted"] == 1


def test_a_decision_about_a_photo_is_sent_by_its_hash_and_heeded(client: TestClient) -> None:
    names = ("02.jpg", "blurred.jpg")
    images = [encoded(SAMPLES / name) for name in names]
    first = client.post(f"{V1}/photos/check", json={"images": images}).json()["photos"]
    assert [photo["verdict"] for photo in first] == ["accepted", "rejected"]
    assert first[1]["values"]["sharpness"] < first[1]["values"]["min_sharpness"] and len(first[1]["people"]) == 1
    hashes = [photo["sha256"] for photo in first]
    choices = [{"sha256": hashes[0], "take": False}, {"sha256": hashes[1], "take": True, "face": 0}]
    answer = client.post(f"{V1}/photos/check", json={"images": images, "choices": choices}).json()
    assert [photo["verdict"] for photo in answer["photos"]] == ["rejected", "accepted"]
    assert answer["photos"][1]["reasons"] == ["BLURRED"] and answer["photos"][1]["choice"] == {"take": True, "face": 0}
    assert answer["set"]["coverage"]["photos"] == 1
    assert {advice["code"] for advice in answer["set"]["advice_codes"]} == {"TOO_FEW", "NO_HELD_OUT"}
    lenient = {"images": images, "photo_settings": {"min_sharpness": 10}}
    assert client.post(f"{V1}/photos/check", json=lenient).json()["set"]["accepted"] == 2


@pytest.mark.parametrize("choices", [
    [{"sha256": "0" * 63}], [{"sha256": "0" * 64, "take": 1}], [{"sha256": "0" * 64, "face": -1}],
    [{"sha256": "0" * 64, "other": 1}], [{"take": True}], {"0" * 64: {"take": True}},
])
def test_a_decision_that_makes_no_sense_is_refused(standing: TestClient, choices: Any) -> None:
    answer = standing.post(f"{V1}/photos/check", json={"images": ["aGk="], "choices": choices})
    assert answer.status_code == 422 and answer.json()["code"]


def test_health_styles_and_the_shipped_checkpoint(client: TestClient) -> None:
    health = client.get(f"{V1}/health").json()
    assert (health["status"], health["host"]) == ("ok", "standalone")
    assert health["checkpoint"]
    styles = client.get(f"{V1}/styles").json()["styles"]
    assert len(styles) >= 20
    assert all("{subject}" in style["prompt"] for style in styles)
    assert client.post(f"{V1}/checkpoints/avatar-tiny").json()["title"]


def test_names_and_passwords_are_asked_for_when_the_server_has_them(studio: Studio) -> None:
    app = FastAPI()
    app.include_router(build_router(studio, lambda: Accounts({"ann": "se:cret"}, {"bob": "b"})))
    client = TestClient(app)
    address = f"{V1}/health"
    refused = client.get(address)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Basic"
    assert refused.json()["code"] == "UNAUTHORISED"
    assert client.get(address, auth=("ann", "se:cret")).status_code == 200
    for wrong in (("ann", "b"), ("bob", "se:cret"), ("", ""), ("eve", "x")):
        assert client.get(address, auth=wrong).status_code == 401
    assert client.get(address, headers={"Authorization": "Basic %%%"}).status_code == 401


def test_without_names_the_api_is_open(studio: Studio) -> None:
    app = FastAPI()
    app.include_router(build_router(studio, Accounts))
    assert TestClient(app).get(f"{V1}/health").status_code == 200
