"""A job's events as server-sent events, from the file that the job writes."""
from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

from anyio import sleep
from anyio.to_thread import run_sync

from personal_avatar.documents import plain_error, public
from personal_avatar.errors import NotFound
from personal_avatar.jobs.events import Record
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.studio import Studio

POLL_S = 0.4
QUIET_S = 15.0


def message(event: str, data: dict[str, Any], event_id: int | None = None) -> str:
    """One message in the wire format; `data` on one line."""
    head = f"id: {event_id}\n" if event_id is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


async def stream(studio: Studio, job_id: str, after: int) -> AsyncIterator[str]:
    """Events with an id above `after` as they come, a message `state` at each move, `end` last.

    Files are read in worker threads; a comment every 15 quiet seconds keeps proxies from closing the connection.
    """
    state, spoke_at = "", time.monotonic()
    while True:
        ended, now, records = await run_sync(_look, studio, job_id, after)
        if now["state"] != state and not ended:
            state, spoke_at = now["state"], time.monotonic()
            yield message("state", now)
        for record in records:
            after, spoke_at = record.id, time.monotonic()
            yield message(record.event.kind, public(record.to_json()), record.id)
        if ended:
            yield message("end", now)
            return
        if time.monotonic() - spoke_at > QUIET_S:
            spoke_at = time.monotonic()
            yield ": still here\n\n"
        await sleep(POLL_S)


def _look(studio: Studio, job_id: str, after: int) -> tuple[bool, dict[str, Any], list[Record]]:
    """State first, events second: whatever was written before the end is in the same look as the end."""
    try:
        view = studio.jobs.view(job_id)
    except NotFound as error:
        return True, {"id": job_id, "state": "deleted", "position": 0, "error": error.to_json()}, []
    now = {"id": job_id, "state": view.status.state.value, "position": view.position, "error": plain_error(view)}
    return view.status.state not in ACTIVE, now, list(studio.events(job_id, after))
