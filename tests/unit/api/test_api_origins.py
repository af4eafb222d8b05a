"""Pages of other sites change nothing, whoever has them open; our own page, programs and allowed origins do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api.guard import Accounts
from personal_avatar.api.routes import build_router
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio

V1 = "/personal-avatar/v1"
URL = "http://127.0.0.1:7865"
EVIL = "https://evil.example"
LINT = b'{"captions": {"a": "sks man"}}'
OTHERS = (
    {"Origin": EVIL, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    {"Origin": EVIL},  # a browser tells no more of a site to an address without TLS on another machine
    {"Origin": EVIL, "Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},  # a frame in a sandbox, a file
    {"Origin": "null", "Host": ""},
    {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-site"},  # another program of this machine
    {"Origin": "http://127.0.0.1:3000"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": f"{URL}.evil.example"},
    {"Origin": f"{EVIL}/{URL}"},
    {"Origin": EVIL, "X-Forwarded-Host": "avatars.example"},
)
OWN: tuple[dict[str, str], ...] = (
    {},  # a program
    {"Origin": URL, "Sec-Fetch-Site": "same-origin"},
    {"Origin": URL},
    {"Origin": "null", "Sec-Fetch-Site": "same-origin"},  # a form of a page that tells nobody where it is from
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://PA.example", "Host": "pa.example:80"},
    {"Origin": "https://pa.example", "Host": "pa.example:443"},
    {"Origin": "https://pa.example", "X-Forwarded-Host": "outer.example, pa.example"},
    {"Origin": "https://pa.example", "Sec-Fetch-Site": "same-origin"},  # a proxy or tunnel that passes no name on
    {"Origin": "http://[::1]:7865", "Host": "[::1]:7865"},
)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(StandaloneHost(tmp_path_factory.mktemp("origins") / "data"))


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    yield client_of(studio, lambda origin: False)


def client_of(studio: Studio, allowed: Callable[[str], bool]) -> TestClient:
    app = FastAPI()
    app.include_router(build_router(studio, Accounts, allowed))
    return TestClient(app, base_url=URL)


@pytest.mark.parametrize("headers", OTHERS)
def test_what_a_page_of_another_site_would_change_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("POST", "/photos/lint"), ("DELETE", "/models/anna"), ("PUT", "/jobs/1/priority")):
        answer = client.request(method, V1 + path, content=LINT, headers=headers)
        assert answer.status_code == 403 and answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "CROSS_SITE" and "--cors-allow-origins" in answer.json()["hint"]


@pytest.mark.parametrize("headers", OWN)
def test_our_page_and_programs_are_answered(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post(f"{V1}/photos/lint", content=LINT, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("headers", OTHERS)
def test_what_changes_nothing_is_left_to_the_rules_of_browsers(client: TestClient, headers: dict[str, str]) -> None:
    assert client.get(f"{V1}/health", headers=headers).status_code == 200


def test_pages_of_an_allowed_origin_are_answered(studio: Studio) -> None:
    client = client_of(studio, {"https://friend.example", "null"}.__contains__)

    def status(origin: str) -> int:
        headers = {"Origin": origin, "Sec-Fetch-Site": "cross-site"}
        return client.post(f"{V1}/photos/lint", content=LINT, headers=headers).status_code

    assert (status("https://friend.example"), status("null"), status(EVIL)) == (200, 200, 403)


def test_a_password_that_the_browser_keeps_helps_no_other_site(studio: Studio) -> None:
    app = FastAPI()
    app.include_router(build_router(studio, lambda: Accounts({"anna": "secret"})))
    client = TestClient(app, base_url=URL)
    for auth in (None, ("anna", "secret")):
        assert client.post(f"{V1}/photos/lint", content=LINT, auth=auth, headers=OTHERS[0]).status_code == 403
    assert client.post(f"{V1}/photos/lint", content=LINT, auth=("anna", "secret")).status_code == 200
