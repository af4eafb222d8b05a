"""Comparisons over HTTP: begun by one request, read as a table and as a sheet."""
from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from ldm_layout import usual
from personal_avatar.errors import NoCheckpoint
from personal_avatar.studio import Studio
from PIL import Image

from tests.unit.api.house import GOOD, encoded
from tests.unit.api.test_api_journey import V1, ended

pytestmark = pytest.mark.slow
PHOTOS = [encoded(photo) for photo in GOOD[:3]]


def compare(client: TestClient, **changes: Any) -> Any:
    body = {"user_id": "u1", "instance_name": "Anna", "class_type": "woman", "images": PHOTOS, **changes}
    return client.post(f"{V1}/comparisons", json=body)


def test_methods_and_the_photos_alone_become_a_table_and_a_sheet(
    client: TestClient, studio: Studio, faceid: Path
) -> None:
    folder = studio.host.folders().identity_folders[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(faceid, target_is_directory=True)
    answer = compare(client, methods=["one-photo", "lora"], plan={"rank": 4})
    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert [job["method"] for job in told["jobs"]] == ["lora", "one-photo"]
    assert (told["first_job_id"], told["model_id"], told["left_out"]) == (told["jobs"][0]["job_id"], "anna", {})
    assert {ended(client, job["job_id"])["state"] for job in told["jobs"]} == {"succeeded"}
    table = client.get(f"{V1}/models/anna/comparison").json()
    assert [(row["method"], row["recovered"], row["file_mb"]) for row in table["methods"]] == [
        ("lora", 0.5, None), ("one-photo", 0.3, None)]
    assert len(table["notes"]) == 2 and str(folder) not in str(table)
    sheet = client.get(f"{V1}/models/anna/comparison.png")
    assert sheet.headers["content-type"] == "image/png" and Image.open(io.BytesIO(sheet.content)).width > 500


def test_a_checkpoint_that_no_published_weights_fit_is_named_in_the_answer(client: TestClient) -> None:
    alone = compare(client, methods=["one-photo"])
    assert (alone.status_code, alone.json()["code"]) == (422, "BASE_UNSUPPORTED")
    assert "avatar-tiny.safetensors has not the size" in alone.json()["detail"]


def test_what_the_photos_alone_lack_is_in_the_answer(client: TestClient, studio: Studio) -> None:
    studio.host.choose_checkpoint(usual(studio.host.folders().checkpoints))  # type: ignore[attr-defined]
    told = compare(client, methods=["lora", "one-photo"]).json()
    assert [job["method"] for job in told["jobs"]] == ["lora"]
    lacking = told["left_out"]["one-photo"]
    assert lacking["code"] == "WEIGHTS_MISSING" and "--fetch faceid-sd15" in lacking["hint"]
    ended(client, told["first_job_id"])
    alone = compare(client, methods=["one-photo"])
    assert (alone.status_code, alone.json()["code"]) == (503, "WEIGHTS_MISSING")


def test_the_answer_says_which_method_takes_what(client: TestClient) -> None:
    plan = {"learning_rate": 4e-3, "lora.rank": 4}
    answer = compare(client, methods=["lora", "dreambooth"], plan=plan)
    assert answer.status_code == 202, answer.text
    told = {job["method"]: (job["takes"], job["leaves"]) for job in answer.json()["jobs"]}
    rate = {"learning_rate": 4e-3}
    assert told == {"lora": ({**rate, "rank": 4}, {}), "dreambooth": ({}, rate)}
    for job in answer.json()["jobs"]:
        ended(client, job["job_id"])
    assert compare(client, methods=["lora"], plan={"dreambooth.steps": 4}).status_code == 422


def test_the_time_of_the_first_training_is_guessed_while_nothing_was_learned(client: TestClient) -> None:
    told = compare(client, methods=["lora"], plan={"steps": 100}).json()
    ended(client, told["first_job_id"])
    wanted = {"user_id": "u2", "instance_name": "Berta", "class_type": "woman", "images": [encoded(GOOD[0])]}
    other = client.post(f"{V1}/models/train", json={**wanted, "method": "dreambooth", "plan": {"steps": 100}}).json()
    ended(client, other["training_job_id"])
    assert told["estimated_time"] > 0 and other["estimated_time"] > 0


def test_a_time_that_cannot_be_guessed_keeps_nobody_from_a_comparison(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> dict[str, Any]:
        raise NoCheckpoint("Another one is being loaded.")

    monkeypatch.setattr(studio, "estimate", gone)
    answer = compare(client, methods=["lora"])
    assert (answer.status_code, answer.json()["estimated_time"]) == (202, None)
    ended(client, answer.json()["first_job_id"])


def test_the_language_of_reports_goes_along_with_the_photos(client: TestClient, studio: Studio) -> None:
    told = compare(client, methods=["lora"], language="vi").json()
    assert studio.jobs.job(told["first_job_id"]).payload["language"] == "vi"
    ended(client, told["first_job_id"])
    refused = compare(client, methods=["lora"], language="fr")
    assert refused.status_code == 422 and "language" in refused.json()["detail"] and "'zh'" in refused.json()["detail"]


def test_too_few_photos_are_one_answer_and_no_job(client: TestClient) -> None:
    answer = compare(client, images=PHOTOS[:2])
    assert (answer.status_code, answer.json()["code"]) == (422, "TOO_FEW_PHOTOS")
    assert answer.json()["detail"] == "Found 2 usable photos, need 3." and answer.json()["hint"]
    assert client.get(f"{V1}/jobs").json() == {"jobs": []}


def test_photos_of_one_request_are_checked_at_a_time(client: TestClient, studio: Studio) -> None:
    with studio.checking:
        answer = compare(client, methods=["lora"])
    assert (answer.status_code, answer.json()["code"]) == (429, "QUEUE_FULL")
    assert client.get(f"{V1}/jobs").json() == {"jobs": []}


def test_nothing_was_compared_yet(client: TestClient) -> None:
    assert client.get(f"{V1}/models/nobody/comparison").status_code == 404
    assert compare(client, methods=["no-such"]).status_code == 422
    assert compare(client, methods=["lora"], plan={"rank": True}).status_code == 422
