"""Jobs' events as server-sent events, from the files that the jobs write.

However many clients follow a job, its files are read once in a while for all of them, in a worker thread; each client
has nothing but its place in what was read. A slow one keeps nobody waiting.
"""
from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from anyio import Lock, sleep
from anyio.to_thread import run_sync

from personal_avatar.documents import plain_error, public
from personal_avatar.errors import NotFound
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.studio import Studio

POLL_S = 0.4
QUIET_S = 15.0
STILL_HERE = ": still here\n\n"


def message(event: str, data: dict[str, Any], event_id: int | None = None) -> str:
    """One message in the wire format; `data` on one line."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


class Watch:
    """What is known of one job while somebody follows it."""

    def __init__(self, studio: Studio, job_id: str) -> None:
        self._studio, self._job_id = studio, job_id
        self._lock = Lock()
        self._looked_at = float("-inf")
        self._ids: list[int] = []
        self._messages: list[str] = []
        self.followers = 0
        self.now: dict[str, Any] = {}
        self.ended = False

    async def look(self) -> None:
        """See that what is known is of this moment, or nearly so."""
        async with self._lock:
            if time.monotonic() - self._looked_at >= POLL_S and not self.ended:
                self.ended, self.now, news = await run_sync(self._look, self._ids[-1] if self._ids else 0)
                self._ids += [event_id for event_id, _ in news]
                self._messages += [text for _, text in news]
                self._looked_at = time.monotonic()

    def _look(self, after: int) -> tuple[bool, dict[str, Any], list[tuple[int, str]]]:
        """State first, events second: whatever was written before the end is in the same look as the end."""
        try:
            view = self._studio.jobs.view(self._job_id)
            records = list(self._studio.events(self._job_id, after))
        except NotFound as error:
            return True, {"id": self._job_id, "state": "deleted", "position": 0, "error": error.to_json()}, []
        state = view.status.state
        now = {"id": self._job_id, "state": state.value, "position": view.position, "error": plain_error(view)}
        news = [(one.id, message(one.event.kind, public(one.to_json()), one.id)) for one in records]
        return state not in ACTIVE, now, news

    def after(self, event_id: int) -> tuple[int, list[str]]:
        """The last id, and the messages with an id above that one."""
        first = bisect_right(self._ids, event_id)
        return max(event_id, self._ids[-1] if self._ids else 0), self._messages[first:]


class Streams:
    """The jobs that are followed now."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._watches: dict[str, Watch] = {}

    @contextmanager
    def _following(self, job_id: str) -> Iterator[Watch]:
        """What is known is kept while anybody follows the job."""
        watch = self._watches.get(job_id)
        if watch is None or watch.ended:
            watch = self._watches[job_id] = Watch(self._studio, job_id)
        watch.followers += 1
        try:
            yield watch
        finally:
            watch.followers -= 1
            if not watch.followers and self._watches.get(job_id) is watch:
                del self._watches[job_id]

    async def follow(self, job_id: str, after: int) -> AsyncIterator[str]:
        """Events with an id above `after` as they come, a message `state` at each move, `end` last.

        A comment every 15 quiet seconds keeps proxies from closing the connection.
        """
        state, spoke_at = "", time.monotonic()
        with self._following(job_id) as watch:
            while True:
                await watch.look()
                ended, now = watch.ended, watch.now
                after, news = watch.after(after)
                if now["state"] != state and not ended:
                    state = now["state"]
                    news = [message("state", now), *news]
                for one in news:
                    spoke_at = time.monotonic()
                    yield one
                if ended:
                    yield message("end", now)
                    return
                if time.monotonic() - spoke_at > QUIET_S:
                    spoke_at = time.monotonic()
                    yield STILL_HERE
                await sleep(POLL_S)
