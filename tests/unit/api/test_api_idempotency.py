"""The same request once more starts no second job, whoever sends it when."""
from __future__ import annotations

import json
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api import repeats
from personal_avatar.api.routes import build_router
from personal_avatar.host import Rules
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.storage import locked
from personal_avatar.studio import Studio

from tests.unit.api.house import GOOD, encoded

pytestmark = pytest.mark.slow

V1 = "/personal-avatar/v1"
TRAIN = {"user_id": "u1", "instance_name": "Anna", "images": [encoded(GOOD[0])]}


@pytest.fixture()
def studio(tmp_path: Path) -> Studio:
    found = Studio(StandaloneHost(tmp_path / "data"))
    found.queue.start_lane = lambda kind: None  # type: ignore[method-assign]  # jobs wait: this is about their making
    return found


def train(client: TestClient, key: str | None = "k1", **changes: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(f"{V1}/models/train", json={**TRAIN, **changes}, headers=headers)


def jobs(client: TestClient) -> list[str]:
    return [job["id"] for job in client.get(f"{V1}/jobs").json()["jobs"]]


def test_the_same_again_is_answered_with_the_first_job(client: TestClient, app: FastAPI, studio: Studio) -> None:
    first = train(client)
    assert first.status_code == 202 and "idempotency-replayed" not in first.headers
    again = train(client)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    restarted = FastAPI()
    restarted.include_router(build_router(studio))
    assert train(TestClient(restarted)).json() == first.json()
    assert jobs(client) == [first.json()["training_job_id"]]


def test_a_key_is_for_one_request_of_one_user(client: TestClient) -> None:
    assert train(client).status_code == 202
    for other in (
        train(client, instance_name="Berta"), client.post(
            f"{V1}/images/rank", json={"images": ["aGk="], "references": ["aGk="], "user_id": "u1"},
            headers={"Idempotency-Key": "k1"},
        ),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
        assert other.json()["hint"]
    assert train(client, user_id="u2").status_code == 202
    assert train(client, key="k2", instance_name="Clara").status_code == 202
    assert len(jobs(client)) == 3


def test_two_at_once_are_one(client: TestClient) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(train(client))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["training_job_id"] for answer in answers} == set(jobs(client))
    assert len(jobs(client)) == 1


def test_two_at_once_are_one_for_two_programs_too(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    again = Studio(StandaloneHost(studio.host.folders().data))
    again.queue.start_lane = lambda kind: None  # type: ignore[method-assign]
    first, both = repeats.Repeats._first, threading.Barrier(2)

    def slowly(self: repeats.Repeats, *args: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            both.wait(1.0)  # the other one gets in here, or never
        return first(self, *args)

    monkeypatch.setattr(repeats.Repeats, "_first", slowly)
    answers: list[Any] = []

    def ask(one: Studio) -> None:
        app = FastAPI()
        app.include_router(build_router(one))
        answers.append(train(TestClient(app)))

    threads = [threading.Thread(target=ask, args=(one,)) for one in (studio, again)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.json()["training_job_id"] for answer in answers}) == 1 == len(studio.jobs.views())


def test_who_waits_too_long_for_the_same_is_told(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeats, "LONGEST_S", 0.05)
    name = repeats.Ask("k1", "u1", "").name
    with locked(studio.host.folders().data / "requests" / "locks" / name[:2]):
        refused = train(client)
    assert (refused.status_code, refused.json()["code"]) == (429, "QUEUE_FULL") and not jobs(client)
    assert train(client).status_code == 202


def test_without_a_key_each_request_is_its_own(client: TestClient) -> None:
    codes = [train(client, key=None, instance_name=name).status_code for name in ("Anna", "Berta")]
    assert codes == [202, 202] and len(jobs(client)) == 2


def test_what_was_refused_may_be_asked_again_with_the_same_key(client: TestClient, studio: Studio) -> None:
    studio.host._rules = Rules(waiting=0)  # type: ignore[attr-defined]
    assert train(client).status_code == 429
    studio.host._rules = Rules()  # type: ignore[attr-defined]
    assert train(client).status_code == 202 and len(jobs(client)) == 1


def test_a_server_that_went_down_before_it_answered_finds_the_job_again(client: TestClient, studio: Studio) -> None:
    first = train(client).json()
    record = next((studio.host.folders().data / "requests").glob("*.json"))
    record.write_text(json.dumps({**json.loads(record.read_text()), "job_id": "", "answer": None}))
    again = train(client)
    assert (again.status_code, again.json()["training_job_id"]) == (202, first["training_job_id"])
    assert again.json()["status"] == "queued" and len(jobs(client)) == 1


def test_an_erased_job_is_forgotten_and_a_damaged_record_found_again(client: TestClient, studio: Studio) -> None:
    first = train(client).json()["training_job_id"]
    client.post(f"{V1}/jobs/{first}/cancel")
    client.delete(f"{V1}/models/anna")
    second = train(client).json()["training_job_id"]
    assert second != first and jobs(client) == [second]
    record = next((studio.host.folders().data / "requests").glob("*.json"))
    record.write_text("{")
    assert train(client).json()["training_job_id"] == second and len(jobs(client)) == 1


def test_records_tell_nothing_of_people_and_old_ones_go(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(client, key="Anna's key")
    folder = studio.host.folders().data / "requests"
    told = "".join(path.name + path.read_text() for path in folder.rglob("*") if path.is_file())
    assert "Anna" not in told and "u1" not in told
    monkeypatch.setattr(repeats, "KEPT_S", -1.0)
    monkeypatch.setattr(repeats, "SWEEP_S", -1.0)
    train(client, key="k2", instance_name="Berta")
    assert len(list(folder.glob("*.json"))) == 1


@pytest.mark.parametrize("key", ["x" * 256, "ä", "tab\there"])
def test_a_key_that_is_none_is_refused(standing: TestClient, key: str) -> None:
    assert train(standing, key=key.encode("latin-1")).status_code == 422  # type: ignore[arg-type]
