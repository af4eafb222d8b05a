"""Without a WebUI that asks, we ask: page, files and API are for those who have an account."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from personal_avatar.api.guard import Accounts
from personal_avatar.errors import InvalidSettings
from personal_avatar.standalone.app import build_app
from personal_avatar.standalone.door import COOKIE, PERSONS, SERVICES, accounts_from
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from starlette.websockets import WebSocketDisconnect

V1 = "/personal-avatar/v1"
ANN, SERVICE = ("ann", "a:b"), ("program", "p")


@pytest.fixture(scope="module")
def app_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    studio = Studio(StandaloneHost(tmp_path_factory.mktemp("door") / "data"))
    studio.avatars.save(studio.avatars.open("Bert", user_id="bert", class_noun="man", statement="yes"))
    yield TestClient(build_app(studio, accounts=Accounts(dict([SERVICE]), dict([ANN]))))


@pytest.fixture()
def client(app_client: TestClient) -> TestClient:
    app_client.cookies.clear()
    return app_client


@pytest.mark.parametrize("path", [
    "/", "/config", "/docs", "/openapi.json", "/personal-avatar/page/style.css", "/file=x", "/nothing", f"{V1}/models",
])
def test_nobody_comes_in_without_an_account(client: TestClient, path: str) -> None:
    for wrong in (None, ("ann", "a"), ("bob", "a:b"), ("", "")):
        answer = client.get(path, auth=wrong)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")
        assert COOKIE not in answer.headers.get("set-cookie", "")
    assert client.get(path, headers={"Cookie": f"{COOKIE}=x"}).status_code == 401
    assert client.get(path, headers={"Authorization": "Basic !"}).status_code == 401


def test_who_has_one_comes_in_and_is_known_by_the_page_afterwards(client: TestClient) -> None:
    answer = client.get("/", auth=ANN)
    assert answer.status_code == 200 and "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert client.get("/personal-avatar/page/style.css").status_code == 200  # by the cookie
    assert client.get(f"{V1}/models").status_code == 401  # which does not count for the API
    told = {}
    with suppress(WebSocketDisconnect), client.websocket_connect("/queue/join") as socket:
        told = socket.receive_json()
    assert told["msg"] == "send_hash"


def test_the_pages_connection_is_refused_to_others(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/queue/join"):
        raise AssertionError("it was let in")


def test_people_act_for_themselves_and_programs_for_all(client: TestClient) -> None:
    assert client.get(f"{V1}/models", auth=ANN).json()["models"] == []
    assert [one["id"] for one in client.get(f"{V1}/models", auth=SERVICE).json()["models"]] == ["bert"]


def test_accounts_are_given_by_option_or_variable(tmp_path: Path) -> None:
    found = accounts_from("ann:a:b, bob:c", "", {PERSONS: "carl:x", SERVICES: "program:p"})
    assert found == Accounts({"program": "p"}, {"ann": "a:b", "bob": "c"})
    assert accounts_from("", "", {}) == Accounts()
    for wrong in ("ann", "ann:", ":secret", "ann:secret,x"):
        with pytest.raises(InvalidSettings) as caught:
            accounts_from(wrong, "", {})
        assert "--auth" in caught.value.message and "secret" not in str(caught.value)
