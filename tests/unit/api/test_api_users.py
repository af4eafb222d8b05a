"""Who sees what: nobody sees, changes or learns of what is somebody else's, whatever the route."""
from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from personal_avatar.api.bodies import JobBody
from personal_avatar.api.guard import Accounts
from personal_avatar.api.routes import TOPICS, build_router
from personal_avatar.api.table import Row
from personal_avatar.domain import Checkpoint, Family, Method
from personal_avatar.errors import WrongState
from personal_avatar.jobs.states import State
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.studio.rankings import RankRequest
from personal_avatar.studio.works import CREATE

from tests.unit.api.house import GOOD, encoded

V1 = "/personal-avatar/v1"
SERVICE, ANN, BOB = ("service", "s"), ("ann", "a"), ("bob", "b")
ROWS = [row for _, rows in TOPICS for row in rows]
WITH_IDS = [row for row in ROWS if re.search(r"\{(job|model)_id\}", row.path)]
# What is the same for everybody, and what is done with the caller's own pictures and kept by nobody.
FOR_ALL = {"/identity", "/styles", "/health", "/checkpoints/avatar-tiny", "/photos/taggers", "/photos/check",
           "/photos/lint"}
PICTURE = "aGVsbG8="
TRAIN = {"instance_name": "Anna", "images": [encoded(GOOD[0])]}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    found = Studio(StandaloneHost(tmp_path_factory.mktemp("users") / "data"))
    found.queue.start_lane = lambda kind: None  # type: ignore[method-assign]  # jobs wait: this is about their owners
    return found


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(build_router(studio, lambda: Accounts(dict([SERVICE]), dict([ANN, BOB]))))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def anns(client: TestClient) -> dict[str, str]:
    """An avatar and a job of Ann's; it has ended, as its events would not end otherwise."""
    answer = client.post(f"{V1}/models/train", json=TRAIN, auth=ANN)
    assert answer.status_code == 202, answer.text
    assert client.post(f"{V1}/jobs/{answer.json()['training_job_id']}/cancel", auth=ANN).status_code == 200
    return {"job_id": answer.json()["training_job_id"], "model_id": "anna"}


def address(row: Row, ids: dict[str, str]) -> str:
    return V1 + row.path.format(**ids, n=0)


def named(row: Row) -> str:
    return f"{row.method} {row.path}"


@pytest.mark.parametrize("row", WITH_IDS, ids=named)
def test_what_is_anothers_is_as_if_it_were_not_there(client: TestClient, anns: dict[str, str], row: Row) -> None:
    nobodys = {"job_id": "0" * 32, "model_id": "nobody"}
    missing = client.request(row.method, address(row, nobodys), auth=BOB)
    assert (missing.status_code, missing.json()["code"]) == (404, "NOT_FOUND")
    for user in ({"auth": BOB}, {"auth": SERVICE, "params": {"user_id": "bob"}}):
        answer = client.request(row.method, address(row, anns), **user)  # type: ignore[arg-type]
        told = answer.text
        for name, anybodys in anns.items():
            told = told.replace(anybodys, nobodys[name])
        assert (answer.status_code, told) == (404, missing.text)


@pytest.mark.parametrize("row", [row for row in WITH_IDS if row.method == "GET"], ids=named)
def test_owners_and_services_see_it(client: TestClient, anns: dict[str, str], row: Row) -> None:
    for user in ({"auth": ANN}, {"auth": SERVICE}, {"auth": SERVICE, "params": {"user_id": "ann"}}):
        answer = client.get(address(row, anns), **user)  # type: ignore[arg-type]
        assert answer.status_code in (200, 204, 404) and "There is no job" not in answer.text
        assert "There is no avatar" not in answer.text


@pytest.mark.parametrize("row", [row for row in WITH_IDS if row.method == "GET"], ids=named)
def test_nobody_acts_in_anothers_name(client: TestClient, anns: dict[str, str], row: Row) -> None:
    answer = client.get(address(row, anns), auth=BOB, params={"user_id": "ann"})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN") and answer.json()["hint"]


def test_every_route_says_whose_things_it_is_about() -> None:
    """A new route has ids, a user, or a body that names one; or it is listed here as one for all."""
    for topic, rows in TOPICS:
        for row in rows:
            names = set(re.findall(r"\{(\w+)\}", row.path))
            assert names <= {"job_id", "model_id", "n"}, f"{row.path}: who may see it?"
            function = getattr(topic, row.endpoint.__name__)
            body = get_type_hints(function).get("body")
            of_somebody = isinstance(body, type) and issubclass(body, JobBody)
            takes_user = "user_id" in inspect.signature(function).parameters
            assert (names & {"job_id", "model_id"} or of_somebody or takes_user) or row.path in FOR_ALL, row.path


def test_lists_show_ones_own(client: TestClient, anns: dict[str, str]) -> None:
    for path, name in (("/jobs", "jobs"), ("/models", "models")):
        assert client.get(V1 + path, auth=BOB).json()[name] == []
        assert len(client.get(V1 + path, auth=ANN).json()[name]) == 1
        assert len(client.get(V1 + path, auth=SERVICE).json()[name]) == 1
        assert client.get(V1 + path, auth=SERVICE, params={"user_id": "bob"}).json()[name] == []
        assert client.get(V1 + path, auth=BOB, params={"user_id": "ann"}).status_code == 403
    assert client.get(f"{V1}/jobs", auth=BOB, params={"before": anns["job_id"]}).status_code == 404


def test_a_list_of_models_is_read_page_by_page_by_who_may_see_it(studio: Studio, client: TestClient) -> None:
    for number in range(3):
        for user in ("ann", "bob"):
            studio.avatars.save(studio.avatars.open(f"page {number}", user_id=user, class_noun="man", statement="y"))
    seen, before = list[str](), "n"
    while page := client.get(f"{V1}/models", auth=ANN, params={"limit": 2, "before": before}).json()["models"]:
        assert len(page) <= 2 and {model["user_id"] for model in page} == {"ann"}
        seen, before = [*seen, *(model["id"] for model in page)], page[-1]["id"]
    assert seen == ["page-0", "page-1", "page-2"]
    for wrong in ({"limit": 0}, {"before": "../x"}):
        assert client.get(f"{V1}/models", auth=ANN, params=wrong).status_code == 422
    for avatar in studio.avatars.all(after="n"):
        studio.avatars.delete(avatar.id)


@pytest.mark.parametrize(("path", "body"), [
    ("/images/generate_avatar", {"style_template": "oil-painting"}), ("/images/rank", {"images": ["aGk="]}),
    ("/images/restore", {"images": ["aGk="]}), ("/characters/invent", {}),
])
def test_the_avatars_of_others_cannot_be_used(
    client: TestClient, anns: dict[str, str], path: str, body: dict[str, Any]
) -> None:
    for name in (anns["model_id"], "Anna"):
        answer = client.post(V1 + path, json={**body, "model_id": name}, auth=BOB)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), answer.text
        limited = client.post(V1 + path, json={**body, "model_id": name, "user_id": "bob"}, auth=SERVICE)
        assert limited.json()["detail"] == answer.json()["detail"] == f"There is no avatar {name!r}."
        assert client.post(V1 + path, json={**body, "model_id": name, "user_id": "ann"}, auth=BOB).status_code == 403


@pytest.mark.parametrize(("path", "body"), [
    ("/images/generate_avatar", {"image": PICTURE, "prompt": "<lora:pa-cleo:1> at sea"}),
    ("/images/generate_avatar", {"image": PICTURE, "prompt": "at sea", "settings": {"loras": "ink, pa-cleo:0.6"}}),
    ("/images/generate_avatar", {"image": PICTURE, "prompt": "at sea", "settings": {"hair": "<lora:pa-cleo:1> red"}}),
    ("/characters/invent", {"description": "a woman <lora:pa-cleo:0.8>"}),
])
def test_the_trained_files_of_others_cannot_be_named_in_prompts(
    studio: Studio, client: TestClient, path: str, body: dict[str, Any]
) -> None:
    own = studio.avatars.open("Cleo", user_id="ann", class_noun="woman", statement="y")
    trained = Checkpoint(Path("/loras/pa-cleo.safetensors"), "0" * 64, 1, Method.LORA, Family.SD1, "sks woman")
    studio.avatars.save(replace(own, reference=(1.0, 0.0), checkpoints=(trained,)))
    for auth, more in ((BOB, {}), (SERVICE, {"user_id": "bob"})):
        answer = client.post(V1 + path, json={**body, **more}, auth=auth)
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
        assert "leo" not in answer.text and "/loras" not in answer.text
    for auth in (ANN, SERVICE):
        assert "that the prompt names" not in client.post(V1 + path, json=body, auth=auth).text
    studio.avatars.delete(own.id)


def test_the_same_name_is_another_avatar_for_another_user(client: TestClient, anns: dict[str, str]) -> None:
    answer = client.post(f"{V1}/models/train", json=TRAIN, auth=BOB)
    assert answer.status_code == 202
    mine = client.get(f"{V1}/models", auth=BOB).json()["models"]
    assert [(model["name"], model["user_id"]) for model in mine] == [("Anna", "bob")] and mine[0]["id"] != "anna"
    assert client.get(f"{V1}/jobs/{answer.json()['training_job_id']}", auth=BOB).json()["user_id"] == "bob"
    body = {"model_id": "Anna", "style_template": "oil-painting"}
    used = client.post(f"{V1}/images/generate_avatar", json=body, auth=BOB)
    assert (used.status_code, used.json()["code"]) == (409, "WRONG_STATE")  # his own, which has no training yet
    client.post(f"{V1}/jobs/{answer.json()['training_job_id']}/cancel", auth=BOB)
    assert client.delete(f"{V1}/models/{mine[0]['id']}", auth=BOB).status_code == 200


@pytest.mark.slow
def test_a_name_that_is_the_id_of_anothers_avatar_means_ones_own(studio: Studio, client: TestClient) -> None:
    body = {**TRAIN, "instance_name": "hanna"}
    for user in (ANN, BOB):
        job_id = client.post(f"{V1}/models/train", json=body, auth=user).json()["training_job_id"]
        client.post(f"{V1}/jobs/{job_id}/cancel", auth=user)
    assert studio.avatars.load("hanna").user_id == "ann"
    limited = {"user_id": "bob"}
    for user in ({"auth": BOB}, {"auth": SERVICE, "params": limited}):
        model = client.get(f"{V1}/models/hanna", **user).json()  # type: ignore[arg-type]
        assert (model["id"], model["user_id"]) == ("hanna-2", "bob")
    for path, more in (("/images/rank", {"images": [PICTURE]}), ("/images/restore", {"images": [PICTURE]}),
                       ("/characters/invent", {}), ("/images/generate_avatar", {"style_template": "oil-painting"})):
        answer = client.post(V1 + path, json={**more, "model_id": "hanna"}, auth=BOB)
        found = {view.job.avatar_id for view in studio.jobs.views(user_id="bob")}
        assert "hanna" not in found, answer.text
    for left in client.get(f"{V1}/jobs", auth=BOB).json()["jobs"]:
        client.post(f"{V1}/jobs/{left['id']}/cancel", auth=BOB)
    assert client.delete(f"{V1}/models/hanna", auth=BOB).json()["id"] == "hanna-2"
    assert client.delete(f"{V1}/models/hanna", auth=BOB).status_code == 404
    assert studio.avatars.load("hanna").user_id == "ann"
    assert client.delete(f"{V1}/models/hanna", auth=ANN).json()["id"] == "hanna"


def test_an_avatar_is_named_in_an_address_by_its_name_too(studio: Studio, client: TestClient) -> None:
    name = "An \u00d1and\u00fa"
    for user in ("ann", "bob"):
        studio.avatars.save(studio.avatars.open(name, user_id=user, class_noun="man", statement="y"))
    address = f"{V1}/models/{quote(name)}"
    for user, avatar_id in ((ANN, "an-nandu"), (BOB, "an-nandu-2")):
        assert client.get(address, auth=user).json()["id"] == avatar_id
        limited = {"user_id": user[0]}
        assert client.get(address, auth=SERVICE, params=limited).json()["id"] == avatar_id
    for method in ("GET", "DELETE"):
        told = client.request(method, address, auth=SERVICE)
        assert (told.status_code, told.json()["code"]) == (422, "INVALID_SETTINGS")
        assert "an-nandu, an-nandu-2" in told.json()["detail"] and "user_id" in told.json()["hint"]
    assert client.get(f"{address}/comparison", auth=ANN).json()["methods"] == []
    assert client.delete(address, auth=BOB).json()["id"] == "an-nandu-2"
    assert client.get(address, auth=SERVICE).json()["id"] == "an-nandu"
    assert client.delete(address, auth=SERVICE).json()["id"] == "an-nandu"


def test_what_no_address_can_hold_is_told_with_its_place(client: TestClient) -> None:
    for path, place in (("jobs/A!", "job_id"), (f"models/{'x' * 81}", "model_id"), ("jobs/a/images/x", "n")):
        answer = client.get(f"{V1}/{path}", auth=ANN)
        assert answer.status_code == 404 and f"There is no such address ({place}: " in answer.json()["detail"]


def test_a_damaged_job_is_its_owners_alone(studio: Studio, client: TestClient) -> None:
    job_id = studio.jobs.create(CREATE, {}, title="t", user_id="ann", avatar_id="").id
    assert client.get(f"{V1}/jobs/{job_id}", auth=ANN).json()["state"] == "queued"
    (studio.jobs.folder(job_id) / "job.json").write_text("{")
    told = client.get(f"{V1}/jobs/{job_id}", auth=ANN)
    assert (told.status_code, told.json()["state"], told.json()["error"]["code"]) == (200, "failed", "JOB_DAMAGED")
    assert client.get(f"{V1}/jobs/{job_id}", auth=SERVICE).json()["state"] == "failed"
    answer = client.get(f"{V1}/jobs/{job_id}", auth=BOB)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert client.delete(f"{V1}/jobs/{job_id}", auth=BOB).status_code == 404
    studio.jobs.delete(job_id)


def test_only_services_go_before_others(client: TestClient) -> None:
    refused = client.post(f"{V1}/models/train", json={**TRAIN, "priority": 1}, auth=BOB)
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


def test_persons_read_no_folder_of_the_machine(
    studio: Studio, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = replace(studio.host.folders(), callers_name_folders=True)
    monkeypatch.setattr(studio.host, "folders", lambda: folders)
    started: list[RankRequest] = []

    def start(request: RankRequest) -> None:
        started.append(request)
        raise WrongState("It is enough to know that it was asked for.")

    monkeypatch.setattr(studio.rankings, "start", start)
    for folder in (str(folders.data / "avatars" / "anna" / "photos"), "/nowhere"):
        body = {"folder": folder, "references": [encoded(GOOD[0])]}
        answer = client.post(f"{V1}/images/rank", json=body, auth=BOB)
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN") and not started
        assert answer.json()["hint"] == "Send the pictures."
    assert client.post(f"{V1}/images/rank", json=body, auth=SERVICE).status_code == 409 and len(started) == 1


def test_persons_let_others_go_first_and_services_alone_lift(studio: Studio, client: TestClient) -> None:
    mine, hers = (studio.jobs.create(CREATE, {}, title="t", user_id=user, avatar_id="").id for user in ("bob", "ann"))

    def asked(job_id: str, auth: tuple[str, str], **body: Any) -> tuple[int, Any, Any]:
        answer = client.put(f"{V1}/jobs/{job_id}/priority", auth=auth, **body)
        return answer.status_code, answer.json().get("priority"), answer.json().get("code")

    assert asked(mine, BOB, json={"priority": 1}) == (403, None, "FORBIDDEN")
    assert asked(hers, BOB, json={"priority": 1}) == asked(hers, BOB) == (404, None, "NOT_FOUND")
    assert asked(mine, BOB, json={"priority": -2}) == (200, -2, None)
    assert asked(mine, BOB) == (200, 0, None)
    assert asked(mine, SERVICE, json={"priority": 7}) == (200, 7, None)
    assert client.get(f"{V1}/jobs/{mine}", auth=BOB).json()["position"] == 1
    assert asked(mine, SERVICE, json={"priority": 11})[0] == asked(mine, SERVICE, json={"priority": "1"})[0] == 422
    client.post(f"{V1}/jobs/{mine}/cancel", auth=BOB)
    assert asked(mine, SERVICE, json={"priority": 1}) == (409, None, "WRONG_STATE")
    studio.jobs.move(hers, State.CANCELLED)


@pytest.mark.slow
def test_a_service_of_a_persons_name_is_a_service(studio: Studio, anns: dict[str, str]) -> None:
    app = FastAPI()
    app.include_router(build_router(studio, lambda: Accounts({"bob": "service"}, {"bob": "b"})))
    client = TestClient(app)
    assert client.get(f"{V1}/jobs/{anns['job_id']}", auth=("bob", "service")).status_code == 200
    assert client.get(f"{V1}/jobs/{anns['job_id']}", auth=("bob", "b")).status_code == 404


# -- names cannot leave our folders

NASTY = st.sampled_from([
    "..", ".", "../..", "..\\..", "/etc/passwd", "C:\\x", "a/../../b", "\0", "a\0b", "%2e%2e%2f", "~root", "con", "nul",
    "\u202e", "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "x" * 5000, ".hidden", "-rf", "a\nb",
])
NAMES = NASTY | st.text(max_size=60) | st.builds(lambda one, two: f"{one}/{two}", NASTY, NASTY)
FUZZ = settings(max_examples=15, derandomize=True, suppress_health_check=list(HealthCheck))


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_symlink()}


@FUZZ
@given(name=NAMES)
def test_no_id_leads_out_of_the_folder(client: TestClient, studio: Studio, name: str) -> None:
    data = studio.host.folders().data
    before = tree(data.parent)
    for row in WITH_IDS:
        ids = {"job_id": quote(name, safe=""), "model_id": quote(name, safe="")}
        answer = client.request(row.method, address(row, ids), auth=SERVICE)
        assert answer.status_code in (401, 404, 405, 422), f"{row.path}: {answer.status_code}"
    assert tree(data.parent) == before


@FUZZ
@given(user=NAMES, name=NAMES)
def test_no_name_leads_out_of_the_folder(client: TestClient, studio: Studio, user: str, name: str) -> None:
    data = studio.host.folders().data
    answer = client.post(f"{V1}/models/train", json={**TRAIN, "user_id": user, "instance_name": name}, auth=SERVICE)
    assert answer.status_code in (202, 409, 422, 429), answer.text
    assert {path.name for path in data.parent.iterdir()} == {data.name}
    assert all(re.fullmatch(r"[a-z0-9-]{1,48}", path.name) for path in (data / "avatars").iterdir())
    listed = client.get(f"{V1}/models", params={"user_id": user}, auth=SERVICE)
    assert listed.status_code in (200, 422)
    for model in listed.json().get("models", []):
        assert model["user_id"] == user
        jobs = client.get(f"{V1}/jobs", params={"user_id": user}, auth=SERVICE).json()["jobs"]
        for job in jobs:
            client.post(f"{V1}/jobs/{job['id']}/cancel", auth=SERVICE)
        assert client.delete(f"{V1}/models/{model['id']}", auth=SERVICE).status_code == 200


def test_a_job_of_nobodys_user_is_seen_by_services_alone(client: TestClient, studio: Studio) -> None:
    job = studio.jobs.create(CREATE, {}, title="", user_id="local", avatar_id="")  # made on the page
    assert client.get(f"{V1}/jobs/{job.id}", auth=SERVICE).status_code == 200
    assert client.get(f"{V1}/jobs/{job.id}", auth=ANN).status_code == 404
