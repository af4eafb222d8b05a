"""Photos without training by HTTP: what goes in, what comes out, what is refused by name."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from ldm_layout import usual
from personal_avatar.pictures import load_picture
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, SAMPLES, encoded
from tests.unit.api.test_api_journey import V1, ended

pytestmark = pytest.mark.slow  # loads models of faces
ANNA = {"references": [encoded(GOOD[0])], "class_type": "woman", "style_template": "oil-painting", "num_images": 3,
        "seed": 5, "restore": False}


def equip(studio: Studio, networks: Path) -> None:
    folder = studio.host.folders().identity_folders[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(networks, target_is_directory=True)


@pytest.fixture()
def networks(studio: Studio, faceid: Path) -> None:
    equip(studio, faceid)


@pytest.fixture(scope="module")
def standing_networks(standing_studio: Studio, faceid: Path) -> None:
    equip(standing_studio, faceid)


def asked(client: TestClient, **changes: Any) -> Any:
    body = {name: value for name, value in {**ANNA, **changes}.items() if value is not None}
    return client.post(f"{V1}/images/generate_avatar", json=body)


def made(client: TestClient, **changes: Any) -> dict[str, Any]:
    answer = asked(client, **changes)
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.json()["generation_job_id"])
    assert job["state"] == "succeeded", job["error"]
    return job


@pytest.mark.usefixtures("networks")
def test_a_photo_becomes_ranked_portraits_and_is_erased_with_them(client: TestClient, studio: Studio) -> None:
    job = made(client, identity={"adapter_weight": 0.6})
    assert (job["model_id"], job["title"]) == ("", "One photo")
    images = job["result"]["images"]
    assert images[0]["likeness"] > 0.9 and client.get(images[0]["url"]).headers["content-type"] == "image/png"
    request = studio.host.requests[-1]  # type: ignore[attr-defined]
    assert request.identity.settings.adapter_weight == 0.6 and "woman" in request.prompt
    assert np.array_equal(request.identity.people[0].photos[0], load_picture(GOOD[0]))
    assert [one["id"] for one in client.get(f"{V1}/jobs").json()["jobs"]] == [job["id"]]
    assert client.get(f"{V1}/jobs/{job['id']}/events").text.rstrip().endswith("}")
    erased = client.delete(f"{V1}/jobs/{job['id']}")
    assert erased.status_code == 200 and len(erased.json()["erased"]) == 3 and erased.json()["left"] == []
    assert not (studio.host.folders().data / "jobs" / job["id"]).exists()
    assert client.get(images[0]["url"]).status_code == 404
    assert client.delete(f"{V1}/jobs/{job['id']}").json()["code"] == "NOT_FOUND"


@pytest.mark.usefixtures("networks")
def test_nothing_of_the_photo_goes_out(client: TestClient, studio: Studio) -> None:
    job = made(client)
    text = client.get(f"{V1}/jobs/{job['id']}").text + client.get(f"{V1}/jobs/{job['id']}/events").text
    assert "photos" not in text and "consent" not in text and str(studio.host.folders().data) not in text


@pytest.mark.usefixtures("networks")
def test_a_photo_alone_is_restyled(client: TestClient, studio: Studio) -> None:
    made(client, references=None, image=f"data:image/jpeg;base64,{encoded(GOOD[0])}", strength=0.3,
         pose=encoded(GOOD[1]))
    request = studio.host.requests[-1]  # type: ignore[attr-defined]
    assert request.strength == 0.3 and request.image is not None
    assert np.array_equal(request.identity.people[0].photos[0], load_picture(GOOD[0]))
    assert np.array_equal(request.identity.keypoints_image, load_picture(GOOD[1]))


@pytest.mark.usefixtures("networks")
def test_several_people_stand_where_they_are_said_to(client: TestClient, studio: Studio) -> None:
    other = {"references": [encoded(SAMPLES / "someone-else.jpg")], "class_type": "man", "region": {"left": 0.5}}
    made(client, region={"right": 0.5}, others=[other])
    request = studio.host.requests[-1]  # type: ignore[attr-defined]
    anna, man = request.identity.people
    assert (anna.box, man.box) == ((0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0))
    assert np.array_equal(man.photos[0], load_picture(SAMPLES / "someone-else.jpg"))
    assert "woman and man" in request.prompt


@pytest.mark.usefixtures("standing_networks")
@pytest.mark.parametrize(("changes", "status", "code", "words"), [
    ({"references": None}, 422, "INVALID_SETTINGS", "model_id, references, image"),
    ({"references": []}, 422, "INVALID_SETTINGS", "references"),
    ({"references": ["%"]}, 422, "INVALID_SETTINGS", "references[0] is not base64"),
    ({"references": ["aGVsbG8="]}, 422, "UNREADABLE", "references[0]"),
    ({"references": [encoded(GOOD[0])] * 21}, 422, "INVALID_SETTINGS", "references"),
    ({"references": [encoded(SAMPLES / "no-face.jpg")]}, 422, "NO_FACE", ""),
    ({"image": "aGVsbG8="}, 422, "UNREADABLE", "image"),
    ({"consent": " "}, 422, "INVALID_SETTINGS", "consent"),
    ({"strength": 1.5}, 422, "INVALID_SETTINGS", "strength"),
    ({"strength": "0.5"}, 422, "INVALID_SETTINGS", "strength"),
    ({"identity": {"adapter_weight": "much"}}, 422, "INVALID_SETTINGS", "adapter_weight"),
    ({"identity": {"adapter_weight": 3}}, 422, "INVALID_SETTINGS", "adapter_weight must be in [0, 2]"),
    ({"identity": {"references": ["x"]}}, 422, "INVALID_SETTINGS", "references"),
    ({"identity": {"method": "instantid"}}, 422, "BASE_UNSUPPORTED", "InstantID"),
    ({"others": [{"references": []}]}, 422, "INVALID_SETTINGS", "others.0.references"),
    ({"others": [{"references": ["aGVsbG8="]}]}, 422, "UNREADABLE", "others[0].references[0]"),
    ({"region": {"left": True}}, 422, "INVALID_SETTINGS", "region.left"),
    ({"region": {"left": 0.9, "right": 0.1}, "others": [{"references": [encoded(GOOD[1])]}]}, 422, "INVALID_SETTINGS",
     "0.9"),
    ({"model_id": "nobody"}, 404, "NOT_FOUND", "nobody"),
])
def test_what_cannot_work_is_refused_by_name(
    standing: TestClient, standing_studio: Studio, changes: dict[str, Any], status: int, code: str, words: str
) -> None:
    answer = asked(standing, **changes)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert words in problem["detail"] and problem["hint"]
    assert standing_studio.jobs.ids() == []


def test_what_is_missing_is_told_with_where_to_get_it(client: TestClient, studio: Studio) -> None:
    studio.host.choose_checkpoint(usual(studio.host.folders().checkpoints))  # type: ignore[attr-defined]
    answer = asked(client)
    assert (answer.status_code, answer.json()["code"]) == (503, "WEIGHTS_MISSING")
    status = client.get(f"{V1}/identity").json()
    assert (status["family"], status["methods"], status["adapters"]) == ("sd1", [], [])
    assert status["missing"][0]["weights"] and "http" in status["missing"][0]["hint"]


@pytest.mark.usefixtures("standing_networks")
def test_what_is_there_is_told(standing: TestClient) -> None:
    status = standing.get(f"{V1}/identity").json()
    assert (status["checkpoint"], status["methods"], status["missing"]) == ("avatar-tiny", ["faceid"], [])
    assert status["adapters"][0]["file"].startswith("ip-adapter-faceid") and "/" not in status["adapters"][0]["file"]


def test_the_document_is_closed_and_says_who_is_needed(standing: TestClient) -> None:
    schema = standing.get(f"{V1}/openapi.json").json()["components"]["schemas"]["GenerateBody"]
    assert schema["anyOf"] == [{"required": ["model_id"]}, {"required": ["references"]}, {"required": ["image"]}]
    identity = schema["properties"]["identity"]
    assert identity["additionalProperties"] is False and identity["nullable"] is True
    assert identity["properties"]["method"]["enum"] == ["auto", "instantid", "faceid"]
    assert identity["properties"]["adapter_weight"]["title"] == "Likeness"
    assert "hard colours" in identity["properties"]["adapter_weight"]["description"]
    assert "references" not in identity["properties"] and schema["properties"]["references"]["maxItems"] == 20
