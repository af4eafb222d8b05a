"""What the API answers to what it cannot do: always a problem document, never another app's business."""
from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api import uploads
from personal_avatar.api.guard import Accounts
from personal_avatar.api.routes import build_router
from personal_avatar.domain import PhotoReport
from personal_avatar.errors import NoCheckpoint
from personal_avatar.host import Rules
from personal_avatar.studio import Studio
from starlette.types import Message, Receive, Scope, Send

from tests.unit.api.house import GOOD, encoded

pytestmark = pytest.mark.slow  # loads models of faces, runs jobs

V1 = "/personal-avatar/v1"
TRAIN = {"user_id": "u1", "instance_name": "Anna", "images": [encoded(GOOD[0])]}
GENERATE = {"model_id": "anna", "style_template": "oil-painting"}


def is_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"].endswith(code)
    assert document["detail"]
    return dict(document)


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "words"), [
    ({"images": []}, "images"),
    ({"images": "aGVsbG8="}, "images"),
    ({"images": [None]}, "images.0"),
    ({"images": ["%%%"]}, "images[0] is not base64"),
    ({"images": ["data:image/png;base64,%"]}, "images[0] is not base64"),
    ({"images": ["  "]}, "images[0] is empty"),
    ({"images": [encoded(GOOD[0]), "aGVsbG8="]}, "images[1] is not a picture"),
    ({"images": ["aGVsbG8="] * 101}, "images"),
    ({"instance_name": ""}, "instance_name"),
    ({"instance_name": "   "}, "instance_name: The name must have 1 to 80 characters"),
    ({"instance_name": "a\nb"}, "instance_name: The name holds a line break, a tab or another control character"),
    ({"instance_name": "a\u2028b"}, "instance_name: The name holds a line break"),
    ({"instance_name": "x" * 81}, "instance_name"),
    ({"instance_name": 7}, "instance_name"),
    ({"user_id": None}, "user_id"),
    ({"user_id": "a\nb"}, "user_id"),
    ({"class_type": "Frau!"}, "must be an English noun such as man, woman or person, got 'Frau!'"),
    ({"method": "magic"}, "method"),
    ({"plan": {"rank": 0, "steps": -3}}, "; rank must be in [1, 256], got 0"),
    ({"plan": {"rank": float("nan")}}, "rank"),
    ({"plan": {"learning_rate": float("nan")}}, "learning_rate"),
    ({"plan": {"steps": 10**400}}, "steps"),
    ({"plan": {"learning_rate": 10**400}}, "learning_rate"),
    ({"plan": {"no_such": 1}}, "no_such"),
    ({"plan": 7}, "plan"), ({"plan": {"rank": "8"}}, "rank"), ({"plan": {"seed": True}}, "seed"),
    ({"plan": {"flip": 1}}, "flip"), ({"plan": {"schedule": 1}}, "schedule"),
    ({"plan": {"rank": "iVBORw0KGgo=" * 100}}, "... (1202 characters)"),
    ({"plan": {"rank": 7.9}}, "rank must be a whole number in [1, 256], got 7.9"),
    ({"method": "textual-inversion", "plan": {"rank": 8}}, "rank is not a setting; there are: "),
    ({"method": "dreambooth", "plan": {"vectors": 4}}, "vectors is not a setting; there are: "),
    ({"method": "textual-inversion", "plan": {"vectors": "4"}}, "vectors must be a whole number"),
    ({"plan": {"stepz": 3, "steps": "ten", "flip": 1, "rank": 0}}, "plan: steps must be a whole number in "
     "[0, 20000], got 'ten'; flip must be true or false, got 1; rank must be in [1, 256], got 0; "
     "stepz is not a setting, perhaps steps is meant; there are: "),
    ({"plan": {"goal": "fame"}}, "goal must be one of face, "), ({"engine": "magic"}, "engine"),
    ({"surprise": 1}, "surprise"),
    ({"callback_url": "ftp://somewhere/"}, "callback_url"), ({"callback_url": "http://127.0.0.1/"}, "open internet"),
    ({"instance_name": "half \ud800"}, "surrogate"),
    ({"consent": " "}, "consent"),
])
def test_impossible_trainings_are_refused_with_the_reason(
    standing: TestClient, changes: dict[str, Any], words: str
) -> None:
    answer = standing.post(f"{V1}/models/train", content=json.dumps({**TRAIN, **changes}))
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert answer.json()["hint"]
    assert standing.get(f"{V1}/jobs").json() == {"jobs": []}


def test_all_that_is_wrong_with_a_training_is_told_at_once_with_what_to_do(standing: TestClient) -> None:
    wrong = {
        "instance_name": "a\nb", "class_type": "ink style", "images": [encoded(GOOD[0]), "aGVsbG8="],
        "plan": {"goal": "anime", "rank": 0, "steps": "ten", "speed": 1}, "photo_settings": {"min_face_px": -5},
    }
    found = standing.post(f"{V1}/models/train", json={**TRAIN, **wrong}).json()
    for words in (
        "instance_name: The name holds a line break", "images[1] is not a picture", "steps must be a whole number",
        "rank must be in [1, 256], got 0", "speed is not a setting", "'ink style' means a style, and goal 'anime'",
        "photo_settings: min_face_px must be in",
    ):
        assert found["detail"].count(words) == 1, words
    assert "body:" not in found["detail"]
    for remedy in ("Write it on one line", "Send JPEG, PNG or WebP", "Leave goal out"):
        assert remedy in found["hint"]


def test_all_that_is_wrong_with_a_comparison_is_told_at_once(standing: TestClient) -> None:
    plan = {"goal": "anime", "rank": 0, "vectors": "x", "speed": 1, "prior_weight": 0.5}
    wrong = {"instance_name": " ", "class_type": "ink style", "plan": plan}
    found = standing.post(f"{V1}/comparisons", json={**TRAIN, **wrong}).json()
    for words in ("The name must have", "rank must be in", "vectors must be a whole", "speed is not", "means a style"):
        assert found["detail"].count(words) == 1, words
    assert "prior_weight must" not in found["detail"]


def test_pictures_that_are_none_are_told_beside_a_value_that_nobody_asked_for(standing: TestClient) -> None:
    for address in ("models/train", "comparisons"):
        found = standing.post(f"{V1}/{address}", json={**TRAIN, "images": ["aGVsbG8="], "no_such": 1}).json()
        assert "no_such" in found["detail"] and "images[0] is not a picture" in found["detail"]


def test_a_picture_that_is_too_large_hides_nothing_else_that_is_wrong(
    standing: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_PICTURE_BYTES", 100)
    found = is_problem(standing.post(f"{V1}/models/train", json={**TRAIN, "instance_name": "a\nb"}), 422,
                       "INVALID_SETTINGS")
    assert "line break" in found["detail"]
    is_problem(standing.post(f"{V1}/models/train", json=TRAIN), 413, "TOO_LARGE")


def test_noun_against_goal_alone_is_told_with_what_to_do(standing: TestClient) -> None:
    found = standing.post(f"{V1}/models/train", json={**TRAIN, "class_type": "style", "plan": {"goal": "anime"}}).json()
    assert "means a style" in found["detail"] and found["hint"].startswith("Leave goal out")


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "status"), [
    ({"num_images": 0}, 422), ({"num_images": True}, 422), ({"num_images": "4"}, 422), ({"num_images": 1e999}, 422),
    ({"num_images": float("nan")}, 422), ({"seed": 2**32}, 422), ({"restore": 1}, 422), ({"prompt": 7}, 422),
    ({"model_id": "../../etc"}, 404), ({"model_id": "nobody"}, 404), ({"model_id": "an\x00na"}, 422),
    ({"style_template": ["oil-painting", 7]}, 422), ({"settings": {"steps": 0}}, 404),
])
def test_impossible_portraits_are_refused(standing: TestClient, changes: dict[str, Any], status: int) -> None:
    answer = standing.post(f"{V1}/images/generate_avatar", content=json.dumps({**GENERATE, **changes}))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("settings", "words"), [
    ({"seed": 7, "steps": 9}, "seed cannot be set here, but by fields of the request: seed"),
    ({"restore": False, "count": 1}, "count, restore cannot be set here, but by fields of the request: num_images, re"),
])
def test_a_setting_with_a_field_of_its_own_is_refused_where_it_would_be_ignored(
    standing: TestClient, settings: dict[str, Any], words: str
) -> None:
    answer = standing.post(f"{V1}/images/generate_avatar", json={**GENERATE, "settings": settings})
    assert words in is_problem(answer, 422, "INVALID_SETTINGS")["detail"]
    schemas = standing.get(f"{V1}/openapi.json").json()["components"]["schemas"]
    assert {"seed", "restore", "count"}.isdisjoint(schemas["GenerateBody"]["properties"]["settings"]["properties"])


def test_no_word_of_the_document_is_the_name_of_a_text_that_is_missing(standing: TestClient) -> None:
    def words(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from (part[key] for key in ("title", "description") if isinstance(part.get(key), str))
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from words(inner)

    said = list(words(standing.get(f"{V1}/openapi.json").json()))
    assert said and not [one for one in said if re.fullmatch(r"[a-z_]+(\.[a-z0-9_-]+)+", one)]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b"[" * 100_000, b'"' + b"x" * 1000])
def test_a_body_that_is_no_object_is_refused(standing: TestClient, body: bytes) -> None:
    answer = standing.post(f"{V1}/models/train", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_what_is_not_there_is_404(standing: TestClient) -> None:
    is_problem(standing.get(f"{V1}/jobs/0123"), 404, "NOT_FOUND")
    is_problem(standing.get(f"{V1}/jobs/..%2f..%2fetc/log"), 404, "NOT_FOUND")
    is_problem(standing.get(f"{V1}/models/.."), 404, "NOT_FOUND")
    is_problem(standing.get(f"{V1}/models/a%00b"), 404, "NOT_FOUND")
    is_problem(standing.delete(f"{V1}/models/nobody"), 404, "NOT_FOUND")
    is_problem(standing.get(f"{V1}/nowhere/at/all"), 404, "NOT_FOUND")
    is_problem(standing.post(f"{V1}/nowhere"), 404, "NOT_FOUND")
    for path in (V1, f"{V1}/"):
        is_problem(standing.get(path), 404, "NOT_FOUND")


def test_what_is_no_object_is_not_taken_for_one(standing: TestClient) -> None:
    for path, body, place in (
        ("/models/train", {**TRAIN, "plan": [["rank", 4]]}, "plan"), ("/models/train", {**TRAIN, "plan": []}, "plan"),
        ("/images/generate_avatar", {**GENERATE, "settings": []}, "settings"),
        ("/images/generate_avatar", {**GENERATE, "identity": []}, "identity"),
        ("/images/generate_avatar", {**GENERATE, "region": []}, "region"),
        ("/images/generate_avatar", {**GENERATE, "others": [[["references", ["QUJD"]]]]}, "others.0"),
        ("/photos/lint", {"captions": [["a", "b"]]}, "captions"),
    ):
        told = is_problem(standing.post(V1 + path, json=body), 422, "INVALID_SETTINGS")
        assert told["detail"] == f"{place}: value is not a valid dict."
    for empty in ([], [["captions", {"a": "b"}]]):
        told = is_problem(standing.post(f"{V1}/photos/lint", json=empty), 400, "BAD_INPUT")
        assert told["detail"] == "The body is not taken for a JSON object."


def test_no_word_of_a_library_stands_in_a_message(standing: TestClient) -> None:
    answer = standing.post(f"{V1}/images/generate_avatar", json={"style_template": "oil-painting"})
    assert answer.json()["detail"] == "body: one of model_id, references, image is needed."


def test_a_wrong_method_is_405_and_says_which_is_right(client: TestClient) -> None:
    answer = client.delete(f"{V1}/health")
    is_problem(answer, 405, "WRONG_METHOD")
    assert answer.headers["allow"] == "GET"
    assert client.put(f"{V1}/models/anna").headers["allow"] == "DELETE, GET"
    assert client.get(f"{V1}/models/train").headers["allow"] == "POST"


def test_every_method_gets_a_problem_also_before_an_app_that_takes_all(studio: Studio) -> None:
    async def takes_all(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("It is ours to answer.")

    app = FastAPI()
    app.include_router(build_router(studio))
    app.mount("/", takes_all)
    client = TestClient(app)
    for method in ("TRACE", "PROPFIND"):
        is_problem(client.request(method, f"{V1}/health"), 405, "WRONG_METHOD")
        is_problem(client.request(method, f"{V1}/nowhere"), 404, "NOT_FOUND")
    is_problem(client.get(V1), 404, "NOT_FOUND")


def test_the_errors_of_other_routes_stay_as_they_are(client: TestClient) -> None:
    wrong = client.get("/theirs/x")
    assert wrong.status_code == 422
    assert wrong.headers["content-type"] == "application/json"
    assert wrong.json()["detail"][0]["loc"] == ["path", "number"]
    assert client.get("/nowhere").json() == {"detail": "Not Found"}
    assert client.post("/theirs/1").json() == {"detail": "Method Not Allowed"}


def test_no_checkpoint_is_503(client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> None:
        raise NoCheckpoint("No checkpoint is loaded.")

    monkeypatch.setattr(studio.host, "checkpoint", nothing)
    document = is_problem(client.post(f"{V1}/models/train", json=TRAIN), 503, "NO_CHECKPOINT")
    assert "avatar-tiny" in document["hint"]
    assert client.get(f"{V1}/health").json()["checkpoint"] is None


def test_an_engine_that_is_not_set_up_is_409(client: TestClient) -> None:
    body = {**TRAIN, "images": [encoded(GOOD[0])], "engine": "kohya"}
    document = is_problem(client.post(f"{V1}/models/train", json=body), 409, "ENGINE_MISSING")
    assert "kohya" in document["detail"] and document["hint"]
    assert client.get(f"{V1}/models").json() == {"models": []}


def test_a_full_queue_is_429(client: TestClient, studio: Studio) -> None:
    studio.queue._rules = lambda: Rules(waiting=0)
    is_problem(client.post(f"{V1}/models/train", json={**TRAIN, "images": [encoded(GOOD[0])]}), 429, "QUEUE_FULL")


def test_an_avatar_without_training_cannot_be_painted(client: TestClient, studio: Studio) -> None:
    studio.avatars.save(studio.avatars.open("Anna", user_id="u", class_noun="woman", statement="she"))
    is_problem(client.post(f"{V1}/images/generate_avatar", json=GENERATE), 409, "WRONG_STATE")


@pytest.mark.slow
def test_a_full_disk_is_507(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    is_problem(client.post(f"{V1}/models/train", json=TRAIN), 507, "DISK_FULL")


def test_an_unexpected_error_tells_the_log_and_not_the_caller(
    client: TestClient, studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("/home/anna/secret")

    monkeypatch.setattr(studio, "health", broken)
    document = is_problem(client.get(f"{V1}/health"), 500, "CRASHED")
    assert "secret" not in json.dumps(document)
    assert "secret" in caplog.text


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("decoded")

    monkeypatch.setattr(uploads, "MAX_PICTURE_BYTES", 100)
    monkeypatch.setattr(uploads.base64, "b64decode", never)
    answer = client.post(f"{V1}/models/train", json={**TRAIN, "images": ["A" * 10_000]})
    is_problem(answer, 413, "TOO_LARGE")


def test_a_request_that_is_too_large_is_refused_while_it_comes_in(
    client: TestClient, studio: Studio
) -> None:
    studio.host._rules = Rules(upload_bytes=1000)  # type: ignore[attr-defined]
    is_problem(client.post(f"{V1}/photos/check", json={"images": ["A" * 2000]}), 413, "TOO_LARGE")


@pytest.mark.slow
def test_photos_are_checked_for_one_caller_at_a_time(client: TestClient, studio: Studio) -> None:
    answers = []

    def check(*args: object, **more: object) -> PhotoReport:
        answers.append(client.post(f"{V1}/photos/check", json={"images": ["aGVsbG8="]}))
        raise NoCheckpoint("Enough.")

    studio.check_photos = check  # type: ignore[method-assign, assignment]
    for _ in range(2):  # the first has let go of what it held, although it failed
        client.post(f"{V1}/photos/check", json={"images": ["aGVsbG8="]})
        is_problem(answers.pop(), 429, "QUEUE_FULL")


@pytest.mark.slow
@pytest.mark.parametrize("given", [None, ("anna", "wrong"), ("anna\u00e9", "x")])
def test_who_has_no_password_is_refused_before_the_body_is_read(
    studio: Studio, given: tuple[str, str] | None
) -> None:
    app, read = FastAPI(), list[bool]()
    app.include_router(build_router(studio, lambda: Accounts({"anna": "secret"})))

    with TestClient(Unread(app, read)) as client:  # type: ignore[arg-type]
        refused = client.post(f"{V1}/photos/check", json={"images": []}, auth=given)
        is_problem(refused, 401, "UNAUTHORISED")
        assert refused.headers["www-authenticate"] == "Basic" and read == []
        assert client.post(f"{V1}/photos/check", json={"images": []}, auth=("anna", "secret")).status_code == 422
        assert read
        scheme = client.get(f"{V1}/openapi.json", auth=("anna", "secret")).json()["components"]["securitySchemes"]
        assert scheme["HTTPBasic"]["scheme"] == "basic"


class Unread:
    """An app around another that notes when a body is asked for."""

    def __init__(self, app: FastAPI, read: list[bool]) -> None:
        self._app, self._read = app, read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted() -> Message:
            if scope["type"] == "http":
                self._read.append(True)
            return await receive()

        await self._app(scope, noted, send)


def test_uploaded_pictures_are_gone_when_the_request_has_ended() -> None:
    with uploads.received([encoded(GOOD[0])]) as paths:
        assert paths[0].stat().st_size == GOOD[0].stat().st_size
        assert paths[0].parent.stat().st_mode & 0o077 == 0
    assert not paths[0].parent.exists()
