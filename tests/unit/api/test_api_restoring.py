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
