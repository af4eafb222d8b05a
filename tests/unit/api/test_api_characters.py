"""A character over HTTP: asked for, found, fetched."""
from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api.problems import PREFIX
from personal_avatar.api.routes import build_router
from personal_avatar.studio import Studio
from PIL import Image

from tests.unit.sketches import sketching_studio, who

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

ADDRESS = f"{PREFIX}/characters/invent"


@pytest.fixture()
def sketching(tmp_path: Path, face_weights: Path) -> Studio:
    return sketching_studio(tmp_path / "data", face_weights)


@pytest.fixture()
def visitor(sketching: Studio) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(build_router(sketching))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_character_is_found_and_its_pictures_can_be_fetched(sketching: Studio, visitor: TestClient) -> None:
    body = {"description": "a woman with red hair", "class_type": "woman", "count": 30, "keep": 3, "seed": 100}
    answer = visitor.post(ADDRESS, json=body)
    assert answer.status_code == 202
    job_id = answer.json()["invention_job_id"]
    sketching.queue.wait(job_id, 60)
    job = visitor.get(f"{PREFIX}/jobs/{job_id}").json()
    assert (job["kind"], job["state"]) == ("invent", "succeeded")
    images = job["result"]["images"]
    assert len({who(image["seed"]) for image in images}) == 1
    picture = visitor.get(images[0]["url"])
    assert Image.open(io.BytesIO(picture.content)).size == (192, 192)
    assert visitor.delete(f"{PREFIX}/jobs/{job_id}").status_code == 200
    assert visitor.get(images[0]["url"]).status_code == 404


@pytest.mark.parametrize(("change", "said"), [
    ({"description": ""}, "description"),
    ({"description": "a\x00b"}, "description"),
    ({"keep": 31}, "keep must be at most count"),
    ({"count": True}, "count"),
    ({"settings": {"keep": 3}}, "fields of their own"),
    ({"settings": {"steps": "20"}}, "steps must be a whole number"),
    ({"colour": 1}, "colour"),
])
def test_what_cannot_work_is_told_at_once(visitor: TestClient, change: dict[str, object], said: str) -> None:
    answer = visitor.post(ADDRESS, json={"description": "a woman", "count": 30, "keep": 3, **change})
    assert answer.status_code == 422
    assert said in answer.text


def test_settings_and_avatars_are_known_before_it_starts(sketching: Studio, visitor: TestClient) -> None:
    assert visitor.post(ADDRESS, json={"description": "a woman", "settings": {"steps": 0}}).status_code == 422
    assert visitor.post(ADDRESS, json={"model_id": "nobody"}).status_code == 404
    assert visitor.post(ADDRESS, json={}).status_code == 422
    assert sketching.jobs.views() == []
