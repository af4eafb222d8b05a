"""Without a WebUI that asks, we ask: page, files and API are for those who have an account."""
from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi.testclient import TestClient
from personal_avatar.api.guard import Accounts
from personal_avatar.cli import main
from personal_avatar.errors import InvalidSettings
from personal_avatar.options.common import host_name
from personal_avatar.standalone.app import OWN_NAMES, build_app
from personal_avatar.standalone.door import COOKIE, MOST_TOLD, PERSONS, SERVICES, accounts_from
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from starlette.websockets import WebSocketDisconnect

V1 = "/personal-avatar/v1"
ANN, SERVICE = ("ann", "a:b"), ("program", "p")
OWN_PAGE = {"Origin": "http://127.0.0.1:7865", "Sec-Fetch-Site": "same-origin"}
OTHER_SITES = (
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},
)


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
    assert said_on_connecting(client) == "send_hash"


def said_on_connecting(client: TestClient, headers: dict[str, str] | None = None) -> str:
    """The first word on the connection by which the page hears of what goes on; "" where it is refused."""
    told, url = {"msg": ""}, str(client.base_url.copy_with(scheme="ws", path="/queue/join"))
    with suppress(WebSocketDisconnect), client.websocket_connect(url, headers={**(headers or {})}) as socket:
        told = socket.receive_json()
    return told["msg"]


def test_the_pages_connection_is_refused_to_others(client: TestClient) -> None:
    assert said_on_connecting(client) == ""


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


@pytest.fixture(scope="module")
def open_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    studio = Studio(StandaloneHost(tmp_path_factory.mktemp("open") / "data"))
    yield TestClient(build_app(studio, OWN_NAMES), base_url="http://127.0.0.1:7865")


@pytest.mark.parametrize(("name", "status"), [
    ("127.0.0.1:7865", 200), ("localhost:7865", 200), ("[::1]:7865", 200), ("evil.example:7865", 403), ("::1", 403),
])
def test_only_names_of_this_machine_are_answered(open_client: TestClient, name: str, status: int) -> None:
    assert open_client.get("/personal-avatar/v1/health", headers={"host": name}).status_code == status


def test_who_calls_by_another_name_is_told_which_option_would_let_him(open_client: TestClient) -> None:
    for path in ("/", "/config", f"{V1}/health"):
        answer = open_client.get(path, headers={"host": "avatars.example.com"})
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert told["code"] == "UNKNOWN_HOST" and "--known-as" in told["hint"]
        assert "'avatars.example.com'" in told["detail"]
    assert said_on_connecting(open_client, {"host": "avatars.example.com"}) == ""


def test_each_name_that_is_refused_is_told_once_in_the_console_and_not_for_ever(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(build_app(Studio(StandaloneHost(tmp_path / "data")), OWN_NAMES))
    for _ in range(3):
        client.get(f"{V1}/health", headers={"host": "Avatars.example.com:443"})
    assert caplog.text.count("avatars.example.com'") == 1 and "--known-as" in caplog.text
    for number in range(3 * MOST_TOLD):
        client.get(f"{V1}/health", headers={"host": f"{number}.example.com"})
    assert caplog.text.count("not known as") == MOST_TOLD and caplog.text.count("no more") == 1


PROXY = "https://avatars.example.com"


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, str]]:
    """A client of what `serve` serves by the name of a proxy, and what it said when it started."""
    apps: list[Any] = []

    async def keep(server: uvicorn.Server) -> None:
        apps.append(server.config.app)

    said, data = io.StringIO(), tmp_path_factory.mktemp("proxy") / "data"
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said):
        patch.setattr(uvicorn.Server, "serve", keep)
        patch.setenv("GRADIO_TEMP_DIR", "")  # put back afterwards
        main(["serve", "--port", "0", "--data", str(data), "--known-as", "Avatars.Example.com", "bilder.example"])
    yield TestClient(apps[0], base_url=PROXY), said.getvalue()


def test_page_and_api_are_reached_by_the_name_of_a_proxy(behind_proxy: tuple[TestClient, str]) -> None:
    client, _ = behind_proxy
    for name in ("avatars.example.com", "avatars.example.com:8443", "bilder.example", "localhost:7865"):
        for path in ("/", "/config", f"{V1}/health"):
            assert client.get(path, headers={"host": name}).status_code == 200
    assert client.get("/", headers={"host": "www.avatars.example.com"}).json()["code"] == "UNKNOWN_HOST"


@pytest.mark.parametrize(("headers", "ours"), [
    ({"Origin": PROXY, "Sec-Fetch-Site": "same-origin"}, True),
    ({"Origin": PROXY}, True),
    *((headers, False) for headers in OTHER_SITES),
    ({"Origin": f"{PROXY}:3000"}, False),
    ({"Origin": "https://bilder.example"}, False),
])
def test_behind_a_proxy_our_page_works_and_those_of_other_sites_change_nothing(
    behind_proxy: tuple[TestClient, str], headers: dict[str, str], ours: bool
) -> None:
    client, _ = behind_proxy
    answer = client.post(f"{V1}/photos/lint", content=b'{"captions": {"a": "b"}}', headers=headers)
    assert answer.status_code == (200 if ours else 403)
    assert said_on_connecting(client, headers) == ("send_hash" if ours else "")


def test_who_comes_by_a_proxy_does_not_sit_at_this_machine(behind_proxy: tuple[TestClient, str]) -> None:
    client, said = behind_proxy
    answer = client.post(f"{V1}/images/rank", json={"references": ["eA=="], "folder": "/"})
    assert (answer.status_code, answer.json()["code"]) == (409, "WRONG_STATE")
    assert "everybody who reaches this address as avatars.example.com or bilder.example can see" in said


@pytest.mark.parametrize("wrong", [
    "https://avatars.example.com", "avatars.example.com/", "avatars.example.com:443", "*.example.com", "*", "a..b", "",
    "a b", "-a",
])
def test_what_is_no_name_of_a_host_is_refused_by_the_command_line(
    wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", f"--known-as={wrong}"])
    assert caught.value.code == 2 and "is not the name of a host; write it like" in capsys.readouterr().err


def test_a_name_is_known_as_browsers_write_it() -> None:
    assert [host_name(name) for name in ("Ảnh.example", "my_app", "192.168.1.20")] == [
        "xn--nh-k5s.example", "my_app", "192.168.1.20",
    ]


@pytest.mark.parametrize(("path", "body"), [
    ("/run/predict", {"content": b'{"fn_index": 0, "session_hash": "a", "data": []}'}),
    ("/api/predict", {"content": b'{"fn_index": 0, "session_hash": "a", "data": []}'}),
    ("/upload", {"files": {"files": ("x.jpg", b"abc", "image/jpeg")}}),
    ("/reset", {"content": b'{"fn_index": 0, "session_hash": "a"}'}),
    (f"{V1}/photos/lint", {"content": b'{"captions": {"a": "b"}}'}),
    (f"{V1}/checkpoints/avatar-tiny", {}),
])
def test_pages_of_other_sites_change_nothing(open_client: TestClient, path: str, body: dict[str, Any]) -> None:
    for headers in OTHER_SITES:
        answer = open_client.post(path, headers=headers, **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "CROSS_SITE") and answer.json()["hint"]
    answer = open_client.post(path, headers=OWN_PAGE, **body)
    assert answer.status_code == open_client.post(path, **body).status_code != 403


def test_the_pages_connection_is_refused_to_other_sites(open_client: TestClient) -> None:
    assert [said_on_connecting(open_client, headers) for headers in OTHER_SITES] == [""] * len(OTHER_SITES)
    assert said_on_connecting(open_client, OWN_PAGE) == said_on_connecting(open_client) == "send_hash"


def test_whoever_serves_is_told_what_was_refused_and_what_to_do(
    open_client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    open_client.post("/reset", headers=OTHER_SITES[0])
    assert "evil.example" in caplog.text and "X-Forwarded-Host" in caplog.text


@pytest.mark.parametrize("named", [
    "http://127.0.0.1:7865/config", "HTTPS://evil.example/", "%20http://evil.example", "http%3A%2F%2Fevil.example",
    "%68ttp://evil.example", "ftp:x", "%1fhttp://evil.example", "//evil.example/share", "%5C%5Cevil.example%5Cshare",
])
def test_nobody_makes_us_ask_another_machine(
    open_client: TestClient, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("gradio.utils.validate_url", lambda url: asked.append(url) or True)
    for start in ("/file=", "/file/"):
        for method in ("GET", "HEAD"):
            answer = open_client.request(method, start + named, follow_redirects=False)
            assert answer.status_code == 403 and answer.headers["content-type"] == "application/problem+json"
        assert open_client.get(start + named).json()["code"] == "NOT_OUR_FILE"
    assert not asked


@pytest.mark.parametrize("named", ["/tmp/none.png", "C:/Users/ann/none.png", "none.png", "a/b:c.png"])
def test_files_of_this_machine_are_still_asked_of_the_page(open_client: TestClient, named: str) -> None:
    assert open_client.get(f"/file={named}").json() == {"detail": f"File not found: {named}."}
