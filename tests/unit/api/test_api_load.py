"""Many clients at once, on a real server: those who follow jobs keep nobody waiting, nor each other."""
from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from personal_avatar.api import stream
from personal_avatar.api.stream import Streams
from personal_avatar.jobs.events import Done, EventWriter, Paused, Progress, Started
from personal_avatar.jobs.states import State
from personal_avatar.standalone.host import StandaloneHost
from personal_avatar.studio import Studio
from personal_avatar.studio.works import TRAIN

from tests.unit.api.live import served

pytestmark = pytest.mark.slow

V1 = "/personal-avatar/v1"
FOLLOWERS, SILENT, JOBS = 200, 20, 5


@pytest.fixture()
def studio(tmp_path: Path) -> Studio:
    return Studio(StandaloneHost(tmp_path))


@pytest.fixture()
def port(studio: Studio) -> Iterator[int]:
    with served(studio) as port:
        yield port


def running(studio: Studio) -> tuple[str, EventWriter]:
    """A job that nobody works on, in the state of one that is."""
    job = studio.jobs.create(TRAIN, {}, title="Anna", user_id="u", avatar_id="anna")
    studio.jobs.move(job.id, State.RUNNING)
    emit = EventWriter(studio.jobs.folder(job.id))
    emit(Started(1))
    return job.id, emit


@asynccontextmanager
async def connected(port: int, path: str, *headers: str) -> AsyncIterator[asyncio.StreamReader]:
    """The answer to a GET, from its headers on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = [f"GET {V1}{path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    writer.write("\r\n".join(head).encode())
    try:
        yield reader
    finally:
        writer.close()


async def fetched(port: int, path: str) -> None:
    """An ordinary call."""
    async with connected(port, path) as reader:
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        await reader.read()


async def followed(
    port: int, job_id: str, *headers: str, begun: asyncio.Semaphore | None = None
) -> list[tuple[str, dict[str, Any]]]:
    """All messages of a stream until it ends; `begun` is released with the first."""
    async with connected(port, f"/jobs/{job_id}/events", *headers) as reader:
        first = await reader.readuntil(b"\ndata: ")
        if begun is not None:
            begun.release()
        text = (first + await reader.read()).decode()
    found, event = [], ""
    for line in text.splitlines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((event, json.loads(line.removeprefix("data: "))))
    return found


def events_of(messages: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Kinds of what happened, without the moves between states."""
    return [event for event, _ in messages if event != "state"]


@pytest.mark.slow
def test_two_hundred_followers_and_the_rest_of_the_world(studio: Studio, port: int) -> None:
    jobs = [running(studio) for _ in range(JOBS)]
    threads = threading.active_count()

    async def everybody() -> None:
        begun = asyncio.Semaphore(0)
        following = [asyncio.create_task(followed(port, jobs[n % JOBS][0], begun=begun)) for n in range(FOLLOWERS)]
        silent = [connected(port, f"/jobs/{jobs[0][0]}/events") for _ in range(SILENT)]
        for one in silent:
            await one.__aenter__()  # asks and never reads
        await asyncio.wait_for(asyncio.gather(*(begun.acquire() for _ in range(FOLLOWERS))), 60)
        for _, emit in jobs:
            for step in range(1, 21):
                emit(Progress(step, 20, 0.5))
        ordinary = (fetched(port, path) for path in ("/styles", "/jobs", "/health") * 20)
        await asyncio.wait_for(asyncio.gather(*ordinary), 60)
        assert not any(task.done() for task in following)
        assert threading.active_count() - threads < 60
        for job_id, emit in jobs:
            emit(Done({"answer": 42}))
            studio.jobs.move(job_id, State.SUCCEEDED)
        for found in await asyncio.wait_for(asyncio.gather(*following), 20):
            kinds = [event for event, _ in found]
            assert kinds[:2] == ["state", "started"] and kinds[-2:] == ["done", "end"]
            assert [data["step"] for event, data in found if event == "progress"] == list(range(1, 21))
        for one in silent:
            await one.__aexit__(None, None, None)

    asyncio.run(everybody())


def test_a_pause_and_what_follows_it_are_told_to_who_comes_back_too(studio: Studio, port: int) -> None:
    job_id, emit = running(studio)
    emit(Paused(3))
    studio.jobs.move(job_id, State.PAUSED)

    async def both() -> None:
        first = asyncio.create_task(followed(port, job_id))
        back = asyncio.create_task(followed(port, job_id, "Last-Event-ID: 1"))
        await asyncio.sleep(0.6)
        assert not first.done() and not back.done()
        studio.jobs.move(job_id, State.QUEUED)
        await asyncio.sleep(0.6)
        studio.jobs.move(job_id, State.RUNNING)
        emit(Started(2))
        emit(Done({}))
        studio.jobs.move(job_id, State.SUCCEEDED)
        told, told_again = await asyncio.gather(first, back)
        assert events_of(told) == ["started", "paused", "started", "done", "end"]
        assert events_of(told_again) == events_of(told)[1:]
        for messages in (told, told_again):  # a state that lasts less than a look may be missed, none comes twice
            states = [data["state"] for event, data in messages if event == "state"]
            assert states and states == [state for state in ("paused", "queued", "running") if state in states]

    asyncio.run(both())


def test_one_look_serves_all_and_nothing_is_kept_of_a_job_that_nobody_follows(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, emit = running(studio)
    looks, view = list[str](), studio.jobs.view
    monkeypatch.setattr(studio.jobs, "view", lambda wanted: looks.append(wanted) or view(wanted))
    monkeypatch.setattr(stream, "QUIET_S", 0.5)
    streams = Streams(studio)

    async def one() -> list[str]:
        return [message async for message in streams.follow(job_id, 0)]

    async def many() -> None:
        tasks = [asyncio.create_task(one()) for _ in range(50)]
        gone = streams.follow(job_id, 0)
        assert "event: state" in await anext(gone)
        await gone.aclose()
        await asyncio.sleep(1.5)
        assert 3 <= len(looks) <= 6 and len(streams._watches) == 1
        emit(Done({}))
        studio.jobs.move(job_id, State.SUCCEEDED)
        for messages in await asyncio.gather(*tasks):
            assert stream.STILL_HERE in messages and "event: end" in messages[-1]
        assert streams._watches == {}

    asyncio.run(many())


def test_a_job_that_is_erased_ends_its_streams(studio: Studio, port: int) -> None:
    job_id, emit = running(studio)

    async def erased() -> None:
        task = asyncio.create_task(followed(port, job_id))
        await asyncio.sleep(0.6)
        studio.jobs.move(job_id, State.FAILED)
        studio.jobs.delete(job_id)
        found = await task
        assert found[-1][0] == "end" and found[-1][1]["state"] in ("failed", "deleted")

    asyncio.run(erased())
