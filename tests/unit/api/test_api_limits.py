"""Requests that bring too much are refused while they come in: nothing of them is kept."""
from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.api import intake
from personal_avatar.api.intake import Intake
from personal_avatar.errors import FileTooLarge, QueueFull
from personal_avatar.host import Rules
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio

from tests.unit.api.live import served

V1 = "/personal-avatar/v1"
MB = 2**20
LIMIT = 4 * MB
CHUNK = b"x" * (64 * 1024)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    data = tmp_path_factory.mktemp("limits")
    with served(Studio(StandaloneHost(data, rules=Rules(upload_bytes=LIMIT)))) as port:
        yield port


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    response = http.client.HTTPResponse(connection, method="POST")
    response.begin()
    return response.status, json.loads(response.read())


def test_what_is_announced_as_too_large_is_not_read(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(
            f"POST {V1}/models/train HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {2**30}\r\n\r\n".encode()
        )
        status, problem = answer(connection)
    assert (status, problem["code"]) == (413, "TOO_LARGE") and "4 MB" in problem["detail"]


def test_what_says_nothing_of_its_size_is_read_up_to_the_limit(port: int) -> None:
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(
            f"POST {V1}/models/train HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        sent, got = 0, list[tuple[int, dict[str, Any]]]()
        reader = threading.Thread(target=lambda: got.append(answer(connection)))
        reader.start()
        tracemalloc.start()
        while not got and sent < 1024 * MB:
            connection.sendall(f"{len(CHUNK):x}\r\n".encode() + CHUNK + b"\r\n")
            sent += len(CHUNK)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        reader.join(5)
    status, problem = got[0]
    assert (status, problem["code"]) == (413, "TOO_LARGE")
    assert LIMIT < sent < 40 * LIMIT and peak < 4 * LIMIT


def test_a_connection_that_was_refused_is_good_for_the_next_request(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"{V1}/photos/lint", b"x" * (LIMIT + 1), {"Content-Type": "application/json"})
    refused = connection.getresponse()
    assert refused.status == 413 and refused.read()
    connection.request("GET", f"{V1}/styles")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(("body", "said"), [
    (b"\xff\xfe{}", "UTF-8"), ('{"captions": {}}'.encode("utf-16"), "UTF-8"), (b"{", "not JSON"), (b"[" * 50_000, ""),
])
def test_what_is_no_json_in_utf_8_is_said(port: int, body: bytes, said: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"{V1}/photos/lint", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    problem = json.loads(response.read())
    assert (response.status, response.headers["content-type"]) == (400, "application/problem+json")
    assert said in problem["detail"]
    connection.close()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_json_that_is_not_called_so_is_told_what_to_be_called(port: int, kind: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"{V1}/photos/lint", b'{"captions": {}}', {"Content-Type": kind})
    problem = json.loads(connection.getresponse().read())
    assert "JSON object" in problem["detail"] and "application/json" in problem["hint"]
    connection.close()


@pytest.mark.parametrize("body", [
    b'{"images": [' + b"1," * 200_001, b"[" * 200_001, b'{"plan": {' + b'"a":{},' * 100_000, b'{"a":' * 200_001,
])
def test_many_small_values_are_refused_before_they_are_made(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", f"{V1}/models/train", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (413, "TOO_MANY_VALUES")
    connection.close()


def test_a_long_number_is_refused_before_it_is_made(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = b'{"images": [' + b"9" * 1_000_000 + b"]}"
    connection.request("POST", f"{V1}/models/train", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 400 and "digits" in json.loads(response.read())["detail"]
    connection.close()


def test_as_many_pictures_as_are_possible_are_few_values(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps({"instance_name": "A", "images": ["data:image/png;base64," + "x" * 15_000] * 250}).encode()
    connection.request("POST", f"{V1}/models/train", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())["code"]) == (422, "INVALID_SETTINGS")
    connection.close()


@pytest.mark.parametrize(("quiet_s", "longest_s", "pause_s"), [(0.2, 60.0, 2.0), (2.0, 0.3, 0.05), (0.3, 60.0, 0.05)])
def test_who_sends_too_slowly_is_not_waited_for(
    port: int, monkeypatch: pytest.MonkeyPatch, quiet_s: float, longest_s: float, pause_s: float
) -> None:
    monkeypatch.setattr(intake, "QUIET_S", quiet_s)
    monkeypatch.setattr(intake, "LONGEST_S", longest_s)
    with closing(socket.create_connection(("127.0.0.1", port), 5)) as connection:
        connection.sendall(
            f"POST {V1}/models/train HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {MB}\r\n\r\n".encode()
        )
        got = list[tuple[int, dict[str, Any]]]()
        reader = threading.Thread(target=lambda: got.append(answer(connection)))
        reader.start()
        while reader.is_alive():
            with suppress(OSError):
                connection.sendall(b" ")
            reader.join(pause_s)
        assert (got[0][0], got[0][1]["code"]) == (408, "TOO_SLOW") and got[0][1]["hint"]
        with suppress(ConnectionResetError):  # it was hung up, perhaps before all had been read that was sent
            assert connection.recv(1) == b""


def test_all_requests_together_have_a_limit() -> None:
    held = Intake(lambda: Rules(upload_bytes=100))
    held.hold(100)
    held.hold(100)
    with pytest.raises(QueueFull):
        held.hold(1)
    held.release(100)
    held.hold(100)


def test_a_body_is_let_go_of_when_it_is_answered(tmp_path: Path) -> None:
    from personal_avatar.api.intake import BoundedRequest

    held = Intake(lambda: Rules(upload_bytes=100))
    body = json.dumps({"a": "ä" * 10}).encode()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def read() -> None:
        scope = {"type": "http", "path": "/", "headers": [], "query_string": b"", "server": ("x", 80)}
        request = BoundedRequest(scope, receive, held)  # type: ignore[arg-type]
        assert await request.json() == {"a": "ä" * 10} == await request.json()
        assert await request.body() == b"" and len(request.digest) == 64
        with pytest.raises(QueueFull):
            held.hold(200 - len(body) + 1)
        request.done()
        held.hold(200)
        held.release(200)
        too_large = BoundedRequest({**scope, "headers": [(b"content-length", b"101")]}, receive, held)  # type: ignore[arg-type]
        with pytest.raises(FileTooLarge):
            await too_large.body()

    asyncio.run(read())
