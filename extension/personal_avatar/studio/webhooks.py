"""Callbacks: whoever asked for a job with a `callback_url` is told when it has ended.

The scheme is that of Standard Webhooks, so that its libraries check what we send. A POST of the job's document has the
headers `webhook-id` (of the event, the same at each try), `webhook-timestamp` (Unix seconds of this try) and
`webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The key is what follows `whsec_` in
the secret of this installation, taken as base64.

A delivery is recorded in the job's folder before it is tried, so that a restart goes on with it and whoever erases the
job erases it too.
"""
from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import logging
import os
import random
import secrets
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar import __version__
from personal_avatar.documents import API_PREFIX, plain_error, public
from personal_avatar.errors import AvatarError, NotFound
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import JobView
from personal_avatar.storage import write_json
from personal_avatar.studio.addresses import CallbackRefused, Resolve, checked, post, resolved
from personal_avatar.studio.keeping import number_of

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

SECRET_FILE = "webhook-secret"
SECRET_PREFIX = "whsec_"
RECORD = "callback.json"
# Seconds between the tries, each lengthened by up to a fifth at random; about an hour in all.
PAUSES_S = (5.0, 30.0, 180.0, 720.0, 2400.0)
JITTER = 0.2
LIMIT_S = 10.0
WIDTH = 4
GONE = 410
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """How far a callback has come. `state`: waiting, delivered, refused (the receiver wants no more) or given-up.
    `ended_at`: of the end that it tells of, as a failed job can go on and end once more; `due_at`: of the next try,
    both Unix seconds; `last`: what came of the last one."""

    event_id: str
    ended_at: float | None = None
    state: str = "waiting"
    tries: int = 0
    due_at: float = 0.0
    last: str = ""


def secret_of(data: Path) -> str:
    """The secret with which callbacks of this installation are signed; made at first use, for this user's eyes only."""
    path = data / SECRET_FILE
    if not path.exists():
        _keep_first(path, SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode() + "\n")
    return path.read_text(encoding="ascii").strip()


def _keep_first(path: Path, text: str) -> None:
    """Write a private file that is complete from the first moment, unless somebody else was first."""
    handle, part = tempfile.mkstemp(dir=path.parent)  # nobody else may read it
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        os.unlink(part)


def told(view: JobView) -> dict[str, Any]:
    """A job as its caller gets it: without embeddings and paths, each picture with its address in the API."""
    document: dict[str, Any] = {**public(view.to_json()), "error": plain_error(view)}
    for place, image in enumerate((document["result"] or {}).get("images", [])):
        image["url"] = f"{API_PREFIX}/jobs/{view.job.id}/images/{number_of(image, place)}"
    return document


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def after_try(now: Delivery, at: float, status: int | None, error: str = "") -> Delivery:
    """The delivery after one more try at the time `at`, which was answered by `status` (None: by nothing)."""
    tries, said = now.tries + 1, error or f"HTTP {status}"
    if status is not None and 200 <= status < 300:
        return replace(now, state="delivered", tries=tries, last=said)
    if status == GONE:
        return replace(now, state="refused", tries=tries, last=said)
    if tries > len(PAUSES_S):
        return replace(now, state="given-up", tries=tries, last=said)
    pause = PAUSES_S[tries - 1] * (1 + random.uniform(0, JITTER))
    return replace(now, tries=tries, due_at=at + pause, last=said)


class Webhooks:
    """`resolve`: how names become addresses."""

    def __init__(self, studio: Studio, resolve: Resolve = resolved) -> None:
        self._studio, self._resolve = studio, resolve
        self._due: list[tuple[float, str]] = []
        self._known: set[str] = set()
        self._wake = threading.Condition()
        self._couriers = 0

    def secret(self) -> str:
        return secret_of(self._studio.host.folders().data)

    def refuse_bad(self, url: str) -> None:
        """Raises `CallbackRefused` for what will not be called; "" is nobody."""
        if url:
            checked(url, self._studio.host.rules().private_callbacks, self._resolve)

    def ended(self, view: JobView) -> None:
        """A job has ended: tell whoever wanted to know."""
        if not view.job.callback_url or view.status.state in ACTIVE:
            return
        folder, now = self._studio.jobs.folder(view.job.id), time.time()
        known = self._read(folder)
        if known is None or known.ended_at != view.status.ended_at:
            known = Delivery(f"msg_{secrets.token_hex(16)}", view.status.ended_at, due_at=now)
            self._write(folder, known)
        if known.state == "waiting":
            self._plan(view.job.id, known.due_at)

    def resume(self) -> threading.Thread:
        """Go on with deliveries of an earlier start, also of jobs whose end nobody was there to see; looked for in a
        thread of its own, because there may be many jobs."""
        thread = threading.Thread(target=self._resume, name="avatar-callbacks-resume", daemon=True)
        thread.start()
        return thread

    def _resume(self) -> None:
        for job_id in self._studio.jobs.ids():
            try:
                if self._studio.jobs.job(job_id).callback_url:
                    self.ended(self._studio.jobs.view(job_id))
            except (AvatarError, OSError, ValueError):
                log.debug("The callback of the job %s cannot be read", job_id)

    def first_try(self, job_id: str, limit_s: float = LIMIT_S + 1) -> None:
        """For a program that is about to end: wait until the callback of a job was tried once, if it has one."""
        end = time.monotonic() + limit_s
        while (known := self.delivery(job_id)) and known.state == "waiting" and not known.tries:
            if time.monotonic() > end:
                return
            time.sleep(0.02)

    def delivery(self, job_id: str) -> Delivery | None:
        """How far the callback of a job has come; None when there is none."""
        return self._read(self._studio.jobs.folder(job_id))

    @staticmethod
    def _read(folder: Path) -> Delivery | None:
        """A damaged record counts as none: better told twice than never."""
        try:
            return Delivery(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @staticmethod
    def _write(folder: Path, delivery: Delivery) -> None:
        write_json(folder / RECORD, asdict(delivery))

    def _plan(self, job_id: str, due_at: float) -> None:
        """Put a delivery into the schedule, once, and make sure that somebody looks after it."""
        with self._wake:
            if job_id in self._known:
                return
            self._known.add(job_id)
            heappush(self._due, (due_at, job_id))
            if self._couriers < WIDTH:
                self._couriers += 1
                threading.Thread(target=self._carry, name="avatar-callbacks", daemon=True).start()
            self._wake.notify()

    def _carry(self) -> None:
        """One courier: tries what is due until nothing is left."""
        while (job_id := self._next()) is not None:
            due_at = None
            try:
                due_at = self._try(job_id)
            except NotFound:
                log.info("The job %s was erased before its callback was delivered", job_id)
            except Exception:  # the next delivery shall not suffer from this one
                log.exception("The callback of the job %s could not be tried", job_id)
            with self._wake:
                self._known.discard(job_id)
            if due_at is not None:
                self._plan(job_id, due_at)

    def _next(self) -> str | None:
        """The next job whose callback is due, when it is; None, which ends the courier, when none is planned."""
        with self._wake:
            while self._due:
                wait_s = self._due[0][0] - time.time()
                if wait_s <= 0:
                    return heappop(self._due)[1]
                self._wake.wait(min(wait_s, 60.0))  # the clock may be set meanwhile
            self._couriers -= 1
            return None

    def _try(self, job_id: str) -> float | None:
        """One try; when the next one is due, None after the last."""
        folder = self._studio.jobs.folder(job_id)
        now, view = self._read(folder), self._studio.jobs.view(job_id)
        if now is None or now.state != "waiting" or view.status.state in ACTIVE:
            return None
        status, error = self._send(view, now.event_id)
        then = after_try(now, time.time(), status, error)
        if folder.is_dir():
            self._write(folder, then)
        log.log(
            logging.INFO if then.state == "delivered" else logging.WARNING,
            "The callback of the job %s: %s (%s)", job_id, then.state, then.last,
        )
        return then.due_at if then.state == "waiting" else None

    def _send(self, view: JobView, event_id: str) -> tuple[int | None, str]:
        """(status, "") or (None, what happened). The address is checked anew: names and rules may have changed."""
        body = json.dumps(told(view), ensure_ascii=False).encode("utf-8", "backslashreplace")
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json", "User-Agent": f"personal-avatar/{__version__}",
            "webhook-id": event_id, "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self.secret(), event_id, timestamp, body),
        }
        try:
            private = self._studio.host.rules().private_callbacks
            return post(checked(view.job.callback_url, private, self._resolve), body, headers, LIMIT_S), ""
        except CallbackRefused as error:
            return None, error.message
        except (OSError, http.client.HTTPException, binascii.Error) as error:
            return None, f"{type(error).__name__}: {error}"
