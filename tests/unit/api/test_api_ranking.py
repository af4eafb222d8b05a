"""Rankings over HTTP."""
from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from personal_avatar.api.portraits import GenerateBody
from personal_avatar.api.problems import PREFIX
from personal_avatar.host import Folders
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, SAMPLES, encoded

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

HER = [encoded(path) for path in GOOD[:2]]


def ranked(client: TestClient, studio: Studio, **body: Any) -> dict[str, Any]:
    """The document of the job when it has ended."""
    answer = client.post(f"{PREFIX}/images/rank", json={"references": HER, **body})
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["ranking_job_id"]
    studio.queue.wait(job_id, 60)
    return dict(client.get(f"{PREFIX}/jobs/{job_id}").json())


def test_pictures_are_ranked_and_told_without_paths(client: TestClient, studio: Studio) -> None:
    sent = [SAMPLES / "no-face.jpg", SAMPLES / "someone-else.jpg", GOOD[3], GOOD[4]]
    job = ranked(client, studio, images=[encoded(path) for path in sent])
    assert job["state"] == "succeeded" and job["kind"] == "rank"
    images = job["result"]["images"]
    assert {image["place"] for image in images[:2]} == {2, 3} and [image["place"] for image in images[2:]] == [1, 0]
    assert "/" not in images[0]["path"] and images[0]["scores"]["overall"] > images[2]["scores"]["overall"]
    assert client.get(images[0]["url"]).headers["content-type"] == "image/png"
    table = client.get(f"{PREFIX}/jobs/{job['id']}/ranked.csv", params={"sort": "likeness", "filter": "likeness>=0.1"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert len(list(csv.DictReader(io.StringIO(table.text)))) == 3
    near = client.get(f"{PREFIX}/jobs/{job['id']}/images/0/similar", params={"count": 2}).json()
    assert len(near["nearest"]) == 2 and "image" not in near["request"]
    assert GenerateBody(**near["request"], image=encoded(GOOD[3])).strength == near["request"]["strength"]


def test_a_folder_of_this_machine_is_read_where_it_lies(client: TestClient, studio: Studio) -> None:
    job = ranked(client, studio, folder=str(SAMPLES))
    assert job["result"]["of"] >= 10
    assert not [path for path in studio.jobs.folder(job["id"]).glob("photos/*") if "reference" not in path.name]


def test_a_folder_cannot_be_named_from_elsewhere(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: Folders = studio.host.folders()
    monkeypatch.setattr(studio.host, "folders", lambda: replace(folders, callers_name_folders=False))
    answer = client.post(f"{PREFIX}/images/rank", json={"references": HER, "folder": str(SAMPLES)})
    assert answer.status_code == 409 and "from elsewhere" in answer.json()["detail"]


@pytest.mark.parametrize(("body", "status"), [
    ({"images": HER}, 422),
    ({"references": HER}, 422),
    ({"references": HER, "images": HER, "folder": "/x"}, 422),
    ({"references": HER, "model_id": "anna", "images": HER}, 422),
    ({"model_id": "nobody-at-all", "images": HER}, 404),
    ({"references": HER, "folder": str(Path("/nowhere/at/all"))}, 404),
])
def test_what_cannot_be_ranked_is_refused(standing: TestClient, body: dict[str, Any], status: int) -> None:
    assert standing.post(f"{PREFIX}/images/rank", json=body).status_code == status
