"""Callbacks, over a real HTTP server: signed, repeated, taken up after a restart, never to where nobody may call."""
from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.api.routes import build_router
from personal_avatar.host import Rules
from personal_avatar.jobs.asking import Asking, asked
from personal_avatar.jobs.states import State
from personal_avatar.jobs.store import JobView
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio, addresses, signatures, webhooks
from personal_avatar.studio.addresses import CallbackRefused, checked, is_possible, is_public, post, resolved
from personal_avatar.studio.signatures import secret_of
from personal_avatar.studio.webhooks import Delivery
from personal_avatar.studio.works import CREATE

V1 = "/personal-avatar/v1"


@dataclass
class Receiver:
    """What came in; `statuses` are answered in order, the last one for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    seen: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture()
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(found.statuses.pop(0) if len(found.statuses) > 1 else found.statuses[0])
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with served(Handler) as port:
        found.url = f"http://127.0.0.1:{port}/told?by=us"
        yield found


@contextmanager
def served(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "PAUSES_S", (0.01,) * 5)


def opened(folder: Path) -> Studio:
    return Studio(StandaloneHost(folder, rules=Rules(private_callbacks=True)))


@pytest.fixture()
def studio(tmp_path: Path) -> Studio:
    return opened(tmp_path)


def made(studio: Studio, url: str) -> JobView:
    """A job that has ended, of which nobody was told yet."""
    with asked(Asking(url)):
        job = studio.jobs.create(CREATE, {}, title="Ánna", user_id="u1", avatar_id="anna")
    studio.jobs.move(job.id, State.RUNNING)
    studio.jobs.move(job.id, State.SUCCEEDED)
    return studio.jobs.view(job.id)


def until(true: Callable[[], Any]) -> Any:
    for _ in range(1000):
        if found := true():
            return found
        time.sleep(0.01)
    raise AssertionError("it does not happen")


def settled(studio: Studio, job_id: str) -> Delivery:
    def look() -> Delivery | None:
        delivery = studio.webhooks.delivery(job_id)
        return delivery if delivery and delivery.state != "waiting" else None

    return until(look)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_who_asked_gets_the_signed_document_of_the_job(studio: Studio, receiver: Receiver) -> None:
    view = made(studio, receiver.url)
    studio.webhooks.ended(view)
    studio.webhooks.ended(view)  # told twice, it tells once
    assert settled(studio, view.job.id).state == "delivered"
    (path, headers, body), = receiver.seen
    key = base64.b64decode(secret_of(studio.host.folders().data).removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert (path, headers["webhook-signature"]) == ("/told?by=us", f"v1,{expected}")
    assert len(key) == 32 and abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    app = FastAPI()
    app.include_router(build_router(studio))
    assert json.loads(body) == TestClient(app).get(f"{V1}/jobs/{view.job.id}").json()


def test_a_program_that_is_about_to_end_can_wait_for_the_first_try(studio: Studio, receiver: Receiver) -> None:
    receiver.statuses = [500]
    told, nobody = made(studio, receiver.url), made(studio, "")
    for view in (told, nobody):
        studio.webhooks.ended(view)
        studio.webhooks.first_try(view.job.id)
    assert len(receiver.seen) >= 1 and studio.webhooks.delivery(nobody.job.id) is None


def test_a_job_that_ends_in_the_queue_is_told_of(studio: Studio, receiver: Receiver) -> None:
    with asked(Asking(receiver.url)):
        job = studio.queue.submit(CREATE, {"avatar_id": "nobody"}, title="", user_id="u", avatar_id="")
    assert settled(studio, job.id).state == "delivered"
    assert json.loads(receiver.seen[0][2])["state"] == "failed"


def test_the_secret_is_for_this_user_alone_and_stays(studio: Studio) -> None:
    data = studio.host.folders().data
    assert {studio.webhooks.secret() for _ in range(3)} == {secret_of(data)}
    assert (data / signatures.SECRET_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damaged", ["", "whsec_abc\n", "whsec_", "other", "whsec_\u00e9" + "A" * 40])
def test_a_damaged_secret_is_put_aside_and_nothing_is_lost(
    studio: Studio, receiver: Receiver, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = studio.host.folders().data / signatures.SECRET_FILE
    path.write_text(damaged, encoding="utf-8")
    view = made(studio, receiver.url)
    studio.webhooks.ended(view)
    assert settled(studio, view.job.id).state == "delivered"
    (_, headers, body), = receiver.seen
    secret = secret_of(path.parent)
    expected = signatures.signature(secret, headers["webhook-id"], int(headers["webhook-timestamp"]), body)
    assert headers["webhook-signature"] == expected and len(signatures.key_of(secret)) == 32
    assert path.with_name("webhook-secret.damaged").read_text(encoding="utf-8") == damaged
    assert path.stat().st_mode & 0o077 == 0 and "--webhook-secret" in caplog.text


def test_all_who_find_it_damaged_make_one_secret(tmp_path: Path) -> None:
    (tmp_path / signatures.SECRET_FILE).write_text("whsec_")
    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: secret_of(tmp_path), range(16)))) == 1


def test_trouble_of_ours_counts_as_a_try(
    studio: Studio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, tries = webhooks.told, list[int]()

    def told(view: JobView) -> dict[str, Any]:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("the disk was away")
        return tell(view)

    monkeypatch.setattr(webhooks, "told", told)
    view = made(studio, receiver.url)
    studio.webhooks.ended(view)
    assert settled(studio, view.job.id).tries == 2 and len(receiver.seen) == 1


def test_a_full_disk_makes_no_endless_tries(
    studio: Studio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    view = made(studio, receiver.url)
    secret_of(studio.host.folders().data)
    monkeypatch.setattr(webhooks, "write_json", full)
    receiver.statuses = [500, 500, 200]
    studio.webhooks.ended(view)
    assert settled(studio, view.job.id).tries == 3 == len(receiver.seen)


def test_the_next_end_is_told_at_once_though_the_first_one_waits(
    studio: Studio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "PAUSES_S", (600.0,) * 5)
    receiver.statuses = [500, 200]
    with asked(Asking(receiver.url)):
        job_id = studio.jobs.create(CREATE, {}, title="", user_id="u1", avatar_id="").id
    for state in (State.RUNNING, State.FAILED):
        studio.jobs.move(job_id, state)
    studio.webhooks.ended(studio.jobs.view(job_id))
    until(lambda: studio.webhooks.delivery(job_id).tries == 1)  # type: ignore[union-attr]
    for state in (State.QUEUED, State.RUNNING, State.SUCCEEDED):
        studio.jobs.move(job_id, state)
    studio.webhooks.ended(studio.jobs.view(job_id))
    assert settled(studio, job_id).tries == 1
    assert [json.loads(body)["state"] for _, _, body in receiver.seen] == ["failed", "succeeded"]


def test_an_end_that_comes_while_the_last_one_is_on_its_way_is_told_too(
    studio: Studio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asked(Asking(receiver.url)):
        job_id = studio.jobs.create(CREATE, {}, title="", user_id="u1", avatar_id="").id
    send, sent = studio.webhooks._send, list[str]()

    def slowly(view: JobView, event_id: str) -> tuple[int | None, str]:
        answer = send(view, event_id)
        sent.append(event_id)
        if len(sent) == 1:
            for state in (State.QUEUED, State.RUNNING, State.SUCCEEDED):
                studio.jobs.move(job_id, state)
            studio.webhooks.ended(studio.jobs.view(job_id))
        return answer

    monkeypatch.setattr(studio.webhooks, "_send", slowly)
    for state in (State.RUNNING, State.FAILED):
        studio.jobs.move(job_id, state)
    studio.webhooks.ended(studio.jobs.view(job_id))
    until(lambda: len(receiver.seen) == 2)
    delivery = settled(studio, job_id)
    assert (delivery.state, delivery.event_id, len(set(sent))) == ("delivered", sent[1], 2)


def test_what_fails_is_tried_again_and_redirects_are_not_followed(studio: Studio, receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 204]
    view = made(studio, receiver.url)
    studio.webhooks.ended(view)
    delivery = settled(studio, view.job.id)
    assert (delivery.state, delivery.tries, delivery.last) == ("delivered", 3, "HTTP 204")
    assert {path for path, _, _ in receiver.seen} == {"/told?by=us"}
    assert {headers["webhook-id"] for _, headers, _ in receiver.seen} == {delivery.event_id}


@pytest.mark.parametrize(("status", "state", "tries"), [(410, "refused", 1), (503, "given-up", 6)])
def test_it_ends_when_nobody_wants_it(
    studio: Studio, receiver: Receiver, status: int, state: str, tries: int
) -> None:
    receiver.statuses = [status]
    view = made(studio, receiver.url)
    studio.webhooks.ended(view)
    delivery = settled(studio, view.job.id)
    assert (delivery.state, delivery.tries, len(receiver.seen)) == (state, tries, tries)


@pytest.mark.parametrize("tries", range(1, 6))
def test_pauses_grow_and_are_not_the_same_for_all(tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pauses = [webhooks.after_try(Delivery("e", tries=tries - 1), 1000.0, 500).due_at - 1000.0 for _ in range(50)]
    usual = webhooks.PAUSES_S[tries - 1]
    assert min(pauses) >= usual and max(pauses) <= 1.2 * usual and len(set(pauses)) > 1
    assert 1800 < sum(webhooks.PAUSES_S) * 1.2 < 4500 and list(webhooks.PAUSES_S) == sorted(webhooks.PAUSES_S)


def test_a_restart_goes_on_with_what_was_not_delivered(
    studio: Studio, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded, unseen = made(studio, receiver.url), made(studio, receiver.url)
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "WIDTH", 0)  # the program ends before it can send
        studio.webhooks.ended(recorded)
    event_id = studio.webhooks.delivery(recorded.job.id).event_id  # type: ignore[union-attr]
    assert receiver.seen == []
    again = opened(tmp_path)
    again.webhooks.resume().join()
    assert settled(again, recorded.job.id).event_id == event_id
    assert settled(again, unseen.job.id).state == "delivered"
    opened(tmp_path).webhooks.resume().join()
    assert len(receiver.seen) == 2


def test_a_job_that_goes_on_and_ends_once_more_is_told_of_once_more(studio: Studio, receiver: Receiver) -> None:
    with asked(Asking(receiver.url)):
        job_id = studio.jobs.create(CREATE, {}, title="", user_id="u1", avatar_id="").id
    for state in (State.RUNNING, State.FAILED, State.QUEUED, State.RUNNING, State.SUCCEEDED):
        studio.jobs.move(job_id, state, **({"ended_at": None} if state is State.QUEUED else {}))
        studio.webhooks.ended(studio.jobs.view(job_id))
        if state in (State.FAILED, State.SUCCEEDED):
            assert settled(studio, job_id).state == "delivered"
    assert [json.loads(body)["state"] for _, _, body in receiver.seen] == ["failed", "succeeded"]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.seen}) == 2


def test_a_job_that_was_erased_tells_nobody(
    studio: Studio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = made(studio, receiver.url)
    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "WIDTH", 0)
        studio.webhooks.ended(view)
    folder = studio.jobs.folder(view.job.id)
    studio.jobs.delete(view.job.id)
    assert studio.webhooks._next() == view.job.id and not folder.exists()
    with pytest.raises(Exception, match="There is no job"):
        studio.webhooks._try(view.job.id)
    assert receiver.seen == []


def test_proxies_of_the_environment_see_nothing(
    studio: Studio, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    view = made(studio, receiver.url)
    studio.webhooks.ended(view)
    assert settled(studio, view.job.id).state == "delivered"


def test_the_address_that_was_checked_is_the_one_that_is_called(receiver: Receiver) -> None:
    port, looked_up = int(receiver.url.split(":")[2].split("/")[0]), []

    def resolve(host: str, _: int) -> list[str]:
        looked_up.append(host)
        return ["127.0.0.1"] if len(looked_up) == 1 else ["198.51.100.1"]

    target = checked(f"http://shop.example:{port}/x", True, resolve)
    assert post(target, b"{}", {}, 5.0) == 200 and looked_up == ["shop.example"]
    assert receiver.seen[0][1]["host"] == f"shop.example:{port}"


@pytest.mark.parametrize("drip", [b"H", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000])
def test_a_receiver_that_never_ends_keeps_nobody(drip: bytes) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        connection, _ = server.accept()
        with connection:
            try:
                while True:
                    connection.sendall(drip)
                    time.sleep(0.02)
            except OSError:
                return

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    target, began = checked(f"http://127.0.0.1:{server.getsockname()[1]}/", True), time.monotonic()
    try:
        assert post(target, b"{}", {}, 0.5) == 200
    except OSError as error:
        assert len(drip) == 1, error
    except Exception as error:  # noqa: BLE001  http.client names what it got in its own way
        assert type(error).__module__ == "http.client"
    assert time.monotonic() - began < 3
    server.close()
    thread.join(3)
    assert not thread.is_alive()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes certificates with openssl")
def test_certificates_must_be_those_of_the_name(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run([
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-keyout", key, "-out", certificate, "-subj", "/CN=shop.example", "-addext", "subjectAltName=DNS:shop.example",
    ], check=True, capture_output=True)  # fmt: skip
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    ours = ssl.create_default_context(cafile=str(certificate))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Tests are quiet."""

    with served(Handler, theirs) as port:
        def sent(host: str, context: ssl.SSLContext | None) -> int:
            return post(checked(f"https://{host}:{port}/", True, lambda *_: ["127.0.0.1"]), b"{}", {}, 5.0, context)

        assert sent("shop.example", ours) == 204
        for host, context in (("other.example", ours), ("shop.example", None)):
            with pytest.raises(ssl.SSLCertVerificationError):
                sent(host, context)


# -- which addresses

NAMES = {
    "open.example": ["93.184.216.34", "2606:2800:220:1::1"], "inside.example": ["10.1.2.3"],
    "both.example": ["93.184.216.34", "127.0.0.1"], "nothing.example": [], "decimal": ["127.0.0.1"],
    "v6.example": ["::1"], "mapped.example": ["::ffff:93.184.216.34"],
}


def table(host: str, _: int) -> list[str]:
    if host in NAMES:
        return NAMES[host]
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        raise OSError("no such name") from None


@pytest.mark.parametrize("url", [
    "", "open.example", "//open.example/", "ftp://open.example/", "file:///etc/passwd", "http://", "http:///x",
    "http://inside.example/", "http://both.example/", "http://nothing.example/", "http://unknown.example/",
    "http://v6.example/", "http://mapped.example/", "http://127.0.0.1/", "http://[::1]/", "http://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data", "http://[fe80::1]/", "http://[fe80::1%25eth0]/", "http://100.64.0.1/",
    "http://open.example@127.0.0.1/", "http://user:word@open.example/", "http://open.example\\@127.0.0.1/",
    "http://open.example:0/", "http://open.example:99999/", "http://open.example:x/", "http://open.example/a b",
    "http://open.example/\r\nX: y", "http://ópen.example/", "http://%6fpen.example/", "http://[::ffff:93.184.216.34]/",
    "http://[64:ff9b::5db8:d822]/", "http://[2002:5db8:d822::1]/", "http://[::127.0.0.1]/", "http://224.0.0.1/",
    "http://open.example/" + "x" * 2000,
])  # fmt: skip
def test_what_may_not_be_called_is_refused(url: str) -> None:
    with pytest.raises(CallbackRefused) as caught:
        checked(url, False, table)
    assert caught.value.hint and "word" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize(("url", "host", "port", "path"), [
    ("https://open.example", "open.example", 443, "/"),
    ("http://OPEN.example:81/a?b=c#d", "open.example", 81, "/a?b=c"),
    ("https://93.184.216.34/%2e%2e", "93.184.216.34", 443, "/%2e%2e"),
    ("http://[2606:2800:220:1::1]:8080/", "2606:2800:220:1::1", 8080, "/"),
])
def test_what_may_be_called_is_taken_apart(url: str, host: str, port: int, path: str) -> None:
    found = checked(url, False, table)
    assert (found.host, found.port, found.path) == (host, port, path)


@pytest.mark.parametrize("host", ["0", "127.1", "0x7f.1", "2130706433", "017700000001", "localhost"])
def test_other_spellings_of_this_machine_are_refused_too(host: str) -> None:
    with pytest.raises(CallbackRefused):
        checked(f"http://{host}/", False, resolved)


@given(st.ip_addresses())
def test_only_addresses_of_the_open_internet_are_public(address: Any) -> None:
    if is_public(address):
        assert address.is_global and not (address.is_multicast or address.is_reserved or address.is_private)
        assert not (address.is_loopback or address.is_link_local or address.is_unspecified)


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_one_is_never_public(inner: ipaddress.IPv4Address) -> None:
    number = int(inner)
    for text in (
        f"::ffff:{inner}", f"::{inner}", f"64:ff9b::{inner}", f"64:ff9b:1::{inner}",
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80))),
        str(ipaddress.IPv6Address((0x20010000 << 96) | (number << 64) | (number ^ 0xFFFFFFFF))),
    ):
        assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(("text", "possible"), [
    ("10.0.0.1", True), ("127.0.0.1", True), ("::1", True), ("fd00::1", True), ("93.184.216.34", True),
    ("169.254.169.254", False), ("fe80::1", False), ("::ffff:169.254.169.254", False), ("0.0.0.0", False),
    ("224.0.0.1", False), ("255.255.255.255", False), ("::", False), ("ff02::1", False), ("fd00:ec2::254", False),
    ("100.100.100.200", False), ("::ffff:100.100.100.200", False), ("192.0.0.192", False), ("168.63.129.16", False),
    ("fd20:ce::254", False), ("2002:a9fe:a9fe::1", False), ("100.64.0.1", True), ("192.168.1.1", True),
])
def test_private_networks_can_be_allowed_but_not_what_nobody_receives_at(text: str, possible: bool) -> None:
    assert is_possible(ipaddress.ip_address(text)) == possible


def test_a_resolver_that_hangs_holds_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    def hang(*_: object, **__: object) -> list[Any]:
        let_go.wait(10)
        raise OSError

    monkeypatch.setattr(addresses, "LOOKUP_S", 0.02)
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    for _ in range(12):
        with pytest.raises(OSError):
            resolved("slow.example", 443)
    assert sum(thread.name == "avatar-lookup" for thread in threading.enumerate()) == 8
    let_go.set()
    until(lambda: not any(thread.name == "avatar-lookup" for thread in threading.enumerate()))
    monkeypatch.undo()
    assert resolved("127.0.0.1", 443) == ["127.0.0.1"]


def test_what_gives_passwords_out_is_never_public() -> None:
    assert not is_public(ipaddress.ip_address("168.63.129.16"))
