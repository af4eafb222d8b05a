"""Restoration over HTTP."""
from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from personal_avatar.api.problems import PREFIX
from personal_avatar.pictures import load_picture
from personal_avatar.studio import Studio
from PIL import Image

from tests.unit.api.house import GOOD, SAMPLES, encoded

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

PATH = f"{PREFIX}/images/restore"


def test_pictures_go_in_and_come_back_by_number(client: TestClient, studio: Studio) -> None:
    answer = client.post(PATH, json={
        "images": [encoded(GOOD[1]), encoded(SAMPLES / "no-face.jpg")], "references": [encoded(GOOD[0])],
        "settings": {"below_px": 0, "below_sharpness": 0},
    })
    assert answer.status_code == 202, answer.text
    accepted = answer.json()
    studio.queue.wait(accepted["restoration_job_id"], 60)
    job = client.get(f"{PREFIX}/jobs/{accepted['restoration_job_id']}").json()
    assert (job["kind"], job["state"]) == ("restore", "succeeded")
    (face,), nobody = job["result"]["faces"]
    assert face["measured_by"] == "person" and not face["restored"] and face["reason"] and nobody == []
    assert "embedding" not in str(job) and str(studio.host.folders().data) not in str(job)
    for number, source in enumerate((GOOD[1], SAMPLES / "no-face.jpg")):
        url = job["result"]["images"][number]["url"]
        with Image.open(BytesIO(client.get(url).content)) as picture:
            assert np.array_equal(np.asarray(picture.convert("RGB")), load_picture(source))
    assert client.delete(f"{PREFIX}/jobs/{job['id']}").status_code == 200
    assert client.get(f"{PREFIX}/jobs/{job['id']}").status_code == 404


def ended(client: TestClient, studio: Studio, **body: Any) -> dict[str, Any]:
    """The document of a job when it has ended."""
    job_id = client.post(PATH, json=body).json()["restoration_job_id"]
    studio.queue.wait(job_id, 60)
    return dict(client.get(f"{PREFIX}/jobs/{job_id}").json())


def test_what_cannot_be_read_is_told_by_its_place_and_the_others_keep_theirs(
    client: TestClient, studio: Studio
) -> None:
    job = ended(client, studio, images=[encoded(GOOD[1]), "aGVsbG8=", encoded(SAMPLES / "no-face.jpg")])
    assert job["state"] == "succeeded"
    assert [image["place"] for image in job["result"]["images"]] == [0, 2] and len(job["result"]["faces"]) == 2
    (left,) = job["result"]["unreadable"]
    assert (left["place"], left["title"]) == (1, "images[1]") and "images[1] is not a picture" in left["error"]
    second = client.get(job["result"]["images"][1]["url"])
    with Image.open(BytesIO(second.content)) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), load_picture(SAMPLES / "no-face.jpg"))


@pytest.mark.parametrize("bad", [
    {"images": ["aGVsbG8="]}, {"images": [encoded(GOOD[1])], "references": [encoded(GOOD[0]), "aGVsbG8="]},
])
def test_what_fails_as_a_whole_names_the_place_in_the_request(
    client: TestClient, studio: Studio, bad: dict[str, Any]
) -> None:
    job = ended(client, studio, **bad)
    place = "references[1]" if "references" in bad else "images[0]"
    assert job["state"] == "failed" and f"{place} is not a picture" in job["error"]["message"]
    log = client.get(f"{PREFIX}/jobs/{job['id']}/log").text
    assert "image-0" not in str(job["error"]) + log and "reference-0" not in str(job["error"]) + log


@pytest.mark.parametrize(("body", "status", "word"), [
    ({}, 422, "images"),
    ({"images": []}, 422, "images"),
    ({"images": ["no base64!"]}, 422, "images[0]"),
    ({"images": ["QUJD"], "settings": {"enabled": True}}, 422, "enabled"),
    ({"images": ["QUJD"], "settings": {"below_px": "many"}}, 422, "below_px"),
    ({"images": ["QUJD"], "model_id": "anna", "references": ["QUJD"]}, 422, "not both"),
    ({"images": ["QUJD"], "model_id": "nobody"}, 404, "nobody"),
    ({"images": ["QUJD"], "settings": {"model": "GFPGAN"}}, 404, "GFPGAN"),
    ({"images": ["QUJD"], "reference": "QUJD"}, 422, "reference"),
])
def test_what_is_wrong_is_said_at_once(standing: TestClient, body: dict[str, Any], status: int, word: str) -> None:
    answer = standing.post(PATH, json=body)
    assert answer.status_code == status and word in answer.text
    assert standing.get(f"{PREFIX}/jobs").json()["jobs"] == []
