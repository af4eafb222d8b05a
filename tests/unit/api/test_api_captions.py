"""Captions over HTTP: at once, as a job, and what is wrong with them."""
from __future__ import annotations

import threading
from pathlib import Path

import blip_miniature
import pytest
import wd_tagger
from fastapi.testclient import TestClient
from personal_avatar.api.problems import PREFIX
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, encoded, own_weights

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

CAPTION, LINT = f"{PREFIX}/photos/caption", f"{PREFIX}/photos/lint"
IMAGES = [encoded(photo) for photo in GOOD[:2]]


@pytest.fixture(autouse=True)
def nothing_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def weights(studio: Studio, tmp_path: Path) -> Path:
    return own_weights(tmp_path / "data")


def test_pictures_are_described_at_once(client: TestClient, weights: Path) -> None:
    wd_tagger.make(weights / "wd14" / "wd-vit-tagger-v3")
    body = {"images": [*IMAGES, "bm8gcGljdHVyZQ=="], "trigger": "sks man", "settings": {"tag_from": 0.0}}
    answer = client.post(CAPTION, json=body)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert [row["image"] for row in document["captions"]] == ["images[0]", "images[1]"]
    assert all(row["caption"].startswith("sks man, ") for row in document["captions"])
    assert [row["image"] for row in document["skipped"]] == ["images[2]"] and document["caption_job_id"] is None


def test_the_template_describes_nothing_that_is_no_picture(client: TestClient) -> None:
    body = {"images": [IMAGES[0], "bm8gcGljdHVyZQ=="], "tagger": "template", "trigger": "sks woman"}
    document = client.post(CAPTION, json=body).json()
    assert document["captions"] == [{"image": "images[0]", "caption": "a photo of sks woman"}]
    assert [row["image"] for row in document["skipped"]] == ["images[1]"] and document["skipped"][0]["reason"]


def test_what_there_is_and_what_it_lacks_is_listed(client: TestClient, weights: Path) -> None:
    wd_tagger.make(weights / "wd14" / "wd-vit-tagger-v3")
    found = {row["name"]: row for row in client.get(f"{PREFIX}/photos/taggers").json()["taggers"]}
    assert [name for name, row in found.items() if row["ready"]] == ["template", "wd14-vit"]
    assert "989.8 MB" in found["blip"]["missing"] and found["blip"]["weights"] == ["blip-model", "blip-words"]
    assert found["wd14-vit"]["here"] and not found["blip"]["here"]


def test_what_is_missing_is_a_problem_with_a_hint(client: TestClient, weights: Path) -> None:
    for tagger, size in (("wd14-eva02", "1260.4 MB"), ("blip", "989.8 MB")):
        answer = client.post(CAPTION, json={"images": IMAGES, "tagger": tagger})
        assert answer.status_code == 503 and answer.json()["code"] == "WEIGHTS_MISSING"
        assert size in answer.json()["detail"] and "doctor --fetch" in answer.json()["hint"]
    assert client.post(CAPTION, json={"images": IMAGES, "tagger": "clip"}).status_code == 404


def test_blip_is_a_job(client: TestClient, studio: Studio, weights: Path) -> None:
    blip_miniature.make(weights / "blip")
    answer = client.post(CAPTION, json={"images": IMAGES, "tagger": "blip", "user_id": "lan"})
    assert answer.status_code == 202, answer.text
    view = studio.jobs.view(answer.json()["caption_job_id"])
    assert (view.job.kind, view.job.user_id) == ("caption", "lan")
    assert view.job.payload["names"] == ["images[0]", "images[1]"]


def test_captions_are_mended(client: TestClient) -> None:
    body = {"captions": {"1.jpg": "a man with long hair in a car"}, "trigger": "sks man", "class_type": "man"}
    document = client.post(LINT, json=body).json()
    assert [finding["code"] for finding in document["findings"]] == ["IDENTITY", "TRIGGER_MISSING"]
    assert document["mended"] == {"1.jpg": "sks man in a car"}
    assert document["findings"][0]["mended"] == "a man in a car"
    too_many = {str(number): "" for number in range(1001)}
    assert client.post(LINT, json={"captions": too_many}).status_code == 422


def test_captions_are_looked_at_for_one_request_at_a_time_and_not_without_end(client: TestClient) -> None:
    too_long = {str(number): "a" * 2000 for number in range(51)}
    assert client.post(LINT, json={"captions": too_long}).status_code == 422
    told: list[int] = []
    many = {str(number): "a man with red hair, ab, " * 4 for number in range(1000)}
    ask = threading.Thread(target=lambda: told.append(client.post(LINT, json={"captions": many}).status_code))
    ask.start()
    while ask.is_alive():
        told.append(client.post(LINT, json={"captions": {"1": "a man"}}).status_code)
    assert set(told) == {200, 429}
    assert client.post(LINT, json={"captions": {"1": "a man"}}).status_code == 200
