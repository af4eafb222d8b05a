"""Accounts, rules and callbacks in a real WebUI that has logins, as its settings and its command line say."""
from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.webui.webui_data import linked_data, training
from tests.webui.webui_server import Server

V1 = "/personal-avatar/v1"
SERVICE, ANN, BOB = ("service", "s"), ("ann", "a"), ("bob", "b")
LOGINS = ("--api-auth", "service:s", "--gradio-auth", "ann:a,bob:b", "--cors-allow-origins", "https://friend.example")
DECIDED = {"private_callbacks": True, "upload_mb": 1, "waiting": -5, "restarts": 4}


@pytest.fixture(scope="module")
def guarded(data: Path, server: Server) -> Iterator[Server]:
    """With settings that somebody saved, one of which is not possible; after `server`, which installed the trainer."""
    folder = linked_data(data, "guarded")
    config = folder / "config.json"
    kept = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    config.unlink(missing_ok=True)
    config.write_text(json.dumps({**kept, **{f"personal_avatar_{name}": value for name, value in DECIDED.items()}}))
    with Server(folder, flags=LOGINS) as running:
        yield running


def test_rules_are_settings_that_nobody_changes_over_the_webuis_own_api(guarded: Server) -> None:
    options = guarded.get("/sdapi/v1/options", auth=SERVICE).json()
    assert {name: options[f"personal_avatar_{name}"] for name in ("upload_mb", "waiting_of_one", "executor")} == {
        "upload_mb": 1, "waiting_of_one": 20, "executor": "local",
    }
    guarded.post("/sdapi/v1/options", {"personal_avatar_upload_mb": 4000}, auth=SERVICE)
    assert guarded.get("/sdapi/v1/options", auth=SERVICE).json()["personal_avatar_upload_mb"] == 1


def test_settings_hold_at_once(guarded: Server) -> None:
    refused = guarded.post(f"{V1}/photos/lint", {"captions": {"a": "x" * 2**20}}, auth=SERVICE)
    assert (refused.status_code, refused.json()["code"]) == (413, "TOO_LARGE") and "1 MB" in refused.json()["detail"]


def test_pages_of_other_sites_change_nothing_unless_the_webui_allows_them(guarded: Server) -> None:
    def asked(**headers: str) -> tuple[int, str]:
        answer = guarded.post(f"{V1}/photos/lint", {"captions": {"a": "b"}}, auth=SERVICE, headers=headers)
        return answer.status_code, answer.json().get("code", "")

    assert asked(Origin="https://evil.example") == asked(Origin="null") == (403, "CROSS_SITE")
    assert asked(Origin="https://friend.example", **{"Sec-Fetch-Site": "cross-site"}) == (200, "")
    assert asked(Origin=guarded.url) == asked() == (200, "")


def test_accounts_of_the_page_are_persons_and_of_the_api_services(guarded: Server) -> None:
    assert guarded.get(f"{V1}/jobs").status_code == guarded.get(f"{V1}/jobs", auth=("ann", "b")).status_code == 401
    told, url = receiver()
    body = {**training("Ann's own", steps=1), "callback_url": url}
    body.pop("user_id", None)
    body["images"] = body["images"][:1]
    accepted = guarded.post(f"{V1}/models/train", body, auth=ANN, headers={"Idempotency-Key": "once"})
    assert accepted.status_code == 202, accepted.text
    job_id = accepted.json()["training_job_id"]
    again = guarded.post(f"{V1}/models/train", body, auth=ANN, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.json()["training_job_id"]) == (202, job_id)
    assert guarded.get(f"{V1}/jobs/{job_id}", auth=ANN).json()["user_id"] == "ann"
    assert guarded.get(f"{V1}/jobs/{job_id}", auth=SERVICE).status_code == 200
    assert guarded.get(f"{V1}/jobs/{job_id}", auth=BOB).status_code == 404
    assert guarded.post(f"{V1}/jobs/{job_id}/cancel", auth=BOB).status_code == 404
    assert guarded.get(f"{V1}/jobs", auth=BOB, params={"user_id": "ann"}).status_code == 403
    guarded.post(f"{V1}/jobs/{job_id}/cancel", auth=ANN)
    for _ in range(600):
        if told:
            break
        time.sleep(0.1)
    assert told[0]["id"] == job_id and told[0]["state"] in ("cancelled", "failed", "succeeded")


def receiver() -> tuple[list[dict[str, object]], str]:
    """What comes in at an address of this machine, for as long as the test runs."""
    told: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return told, f"http://127.0.0.1:{server.server_address[1]}/"
