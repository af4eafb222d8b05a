"""Callbacks: whoever asked for a job with a `callback_url` is told when it has ended.

The scheme is that of Standard Webhooks, so that its libraries check what we send. A POST of the job's document has the
headers `webhook-id` (of the event, the same at each try), `webhook-timestamp` (Unix seconds of this try) and
`webhook-signature`: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. The key is what follows `whsec_` in
the secret of this installation, taken as base64.

A delivery is recorded in the job's folder before it is tried, so that a restart goes on with it and whoever erases the
job erases it too.
"""
from __future__ import annotations

import http.client
import json
import logging
import math
import random
import secrets
import threading
import time
from dataclasses import asdict, dataclass, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from personal_avatar import __version__
from personal_avatar.documents import API_PREFIX, plain_error, public
from personal_avatar.errors import AvatarError, NotFound
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import JobView
from personal_avatar.storage import write_json
from personal_avatar.studio.addresses import CallbackRefused, Resolve, checked, post, resolved
from personal_avatar.studio.keeping import number_of
from personal_avatar.studio.signatures import secret_of, signature
from personal_avatar.studio.works import method_of

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

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


def told(view: JobView) -> dict[str, Any]:
    """A job as its caller gets it: without embeddings and paths, each picture with its address in the API."""
    document: dict[str, Any] = {
        **public(view.to_json()), "method": method_of(view.job), "error": plain_error(view),
    }
    for place, image in enumerate((document["result"] or {}).get("images", [])):
        image["url"] = f"{API_PREFIX}/jobs/{view.job.id}/images/{number_of(image, place)}"
    return document


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
        self._due: list[tuple[float, str]] = []  # also what was planned anew since
        self._planned: dict[str, float] = {}
        self._flying: set[str] = set()
        self._wake = threading.Condition()
        self._recording = threading.Lock()
        self._unwritten: dict[str, Delivery] = {}
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
        with self._recording:
            known = self.delivery(view.job.id)
            if known is None or known.ended_at != view.status.ended_at:
                known = Delivery(f"msg_{secrets.token_hex(16)}", view.status.ended_at, due_at=time.time())
                self._note(view.job.id, known)
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

    def first_try(self, job_id: str) -> None:
        """For a program that is about to end: wait until the callback of a job was tried once, if it has one."""
        end = time.monotonic() + LIMIT_S + 1
        while (known := self.delivery(job_id)) and known.state == "waiting" and not known.tries:
            if time.monotonic() > end:
                return
            time.sleep(0.02)

    def delivery(self, job_id: str) -> Delivery | None:
        """How far the callback of a job has come; None when there is none. A damaged record counts as none: better
        told twice than never."""
        folder = self._studio.jobs.folder(job_id)
        if job_id in self._unwritten:
            return self._unwritten[job_id]
        try:
            return Delivery(**json.loads((folder / RECORD).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _note(self, job_id: str, delivery: Delivery) -> None:
        """Record how far it has come; on a full disk only for this program."""
        self._unwritten.pop(job_id, None)
        folder = self._studio.jobs.folder(job_id)
        try:
            write_json(folder / RECORD, asdict(delivery))
        except OSError as error:
            log.warning("The callback of the job %s cannot be recorded: %s", job_id, error)
            self._unwritten[job_id] = delivery

    def _plan(self, job_id: str, due_at: float) -> None:
        """Put a delivery into the schedule, or bring it forward, and make sure that somebody looks after it. One that
        is tried at this moment is planned when that is over."""
        with self._wake:
            if job_id in self._flying or self._planned.get(job_id, math.inf) <= due_at:
                return
            self._planned[job_id] = due_at
            heappush(self._due, (due_at, job_id))
            if self._couriers < WIDTH:
                self._couriers += 1
                threading.Thread(target=self._carry, name="avatar-callbacks", daemon=True).start()
            self._wake.notify()

    def _carry(self) -> None:
        """One courier: tries what is due until nothing is left."""
        while (job_id := self._next()) is not None:
            try:
                self._try(job_id)
            except NotFound:
                log.info("The job %s was erased before its callback was delivered", job_id)
            except Exception:  # the next delivery shall not suffer from this one
                log.exception("The callback of the job %s could not be tried", job_id)
            self._landed(job_id)

    def _landed(self, job_id: str) -> None:
        """Plan the next try, be it of an end that came while the last one was on its way."""
        with self._wake:
            self._flying.discard(job_id)
        try:
            known = self.delivery(job_id)
            if known and known.state == "waiting" and self._studio.jobs.view(job_id).status.state not in ACTIVE:
                self._plan(job_id, known.due_at)
        except NotFound:
            self._unwritten.pop(job_id, None)
        except Exception:  # as above
            log.exception("The callback of the job %s cannot be planned", job_id)

    def _next(self) -> str | None:
        """The next job whose callback is due, when it is; None, which ends the courier, when none is planned."""
        with self._wake:
            while self._due:
                due_at, job_id = self._due[0]
                wait_s = due_at - time.time()
                if self._planned.get(job_id) != due_at:  # it was brought forward
                    heappop(self._due)
                elif wait_s <= 0:
                    self._flying.add(job_id)
                    del self._planned[job_id]
                    return heappop(self._due)[1]
                else:
                    self._wake.wait(min(wait_s, 60.0))  # the clock may be set meanwhile
            self._couriers -= 1
            return None

    def _try(self, job_id: str) -> None:
        """One try, whatever happens in it; raises `NotFound` for an erased job."""
        now = self.delivery(job_id)
        if now is None or now.state != "waiting":
            return
        try:
            view = self._studio.jobs.view(job_id)
            if view.status.state in ACTIVE:
                return
            status, error = self._send(view, now.event_id)
        except NotFound:
            raise
        except Exception as trouble:  # it is ours, but the receiver shall be told when it is over
            log.exception("The callback of the job %s could not be made", job_id)
            status, error = None, f"{type(trouble).__name__}: {trouble}"
        self._tried(job_id, now.event_id, after_try(now, time.time(), status, error))

    def _tried(self, job_id: str, event_id: str, then: Delivery) -> None:
        """Record it, unless the job has ended once more meanwhile."""
        with self._recording:
            known = self.delivery(job_id)
            if known is not None and known.event_id == event_id:
                self._note(job_id, then)
        log.log(
            logging.INFO if then.state == "delivered" else logging.WARNING,
            "The callback of the job %s: %s (%s)", job_id, then.state, then.last,
        )

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
        except (OSError, http.client.HTTPException) as error:
            return None, f"{type(error).__name__}: {error}"
