"""Measures how a server of ours answers many clients at once, on this machine alone.

    python tools/measure_api.py [--clients 200] [--followers 100] [--calls 10]

starts `personal-avatar serve` with an empty data folder and 500 finished jobs, lets clients call lists, single jobs and
styles one after the other while others follow a job by its events, and prints one JSON object: calls a second, and for
each address the median, the 95th and the 99th of a hundred calls and the slowest, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

EXTENSION = Path(__file__).resolve().parents[1] / "extension"
sys.path.insert(0, str(EXTENSION))
V1 = "/personal-avatar/v1"
JOBS = 500
PATIENCE_S = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200, metavar="N")
    parser.add_argument("--followers", type=int, default=100, metavar="N", help="who follow a job by its events")
    parser.add_argument("--calls", type=int, default=10, metavar="N", help="of each client")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        followed, others = jobs_in(Path(folder))
        port = free_port()
        server = serve(Path(folder), port)
        try:
            asyncio.run(opened(port))
            found = asyncio.run(measured(port, followed, others, args))
        finally:
            server.terminate()
            server.wait(20)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


def jobs_in(data: Path) -> tuple[str, str]:
    """Finished jobs and one that is paused, which can be followed as long as one likes; ids of it and of another."""
    from personal_avatar.jobs.states import State
    from personal_avatar.jobs.store import JobStore

    store = JobStore(data / "jobs")
    made = [store.create("create", {}, title="Anna", user_id="u", avatar_id="").id for _ in range(JOBS)]
    for job_id in made:
        store.move(job_id, State.CANCELLED)
    paused = store.create("train", {}, title="Anna", user_id="u", avatar_id="anna").id
    store.move(paused, State.PAUSED)
    store.close()
    return paused, made[-1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def serve(data: Path, port: int) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(filter(None, [str(EXTENSION), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "personal_avatar", "serve", "--port", str(port), "--data", str(data)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})


async def opened(port: int) -> None:
    """Waits until the server answers."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            await call(port, "/styles")
            return
        except OSError:
            await asyncio.sleep(0.2)
    raise TimeoutError("The server does not answer.")


async def call(port: int, path: str) -> float:
    """Seconds of one call on a connection of its own."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {V1}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise AssertionError(f"{path}: {answer[:100]!r}")
    return time.monotonic() - began


async def follow(port: int, job_id: str) -> int:
    """The bytes of a stream until it is cancelled."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {V1}/jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    got = 0
    try:
        while data := await reader.read(4096):
            got += len(data)
    finally:
        writer.close()
    return got


async def measured(port: int, followed: str, other: str, args: argparse.Namespace) -> dict[str, object]:
    following = [asyncio.create_task(follow(port, followed)) for _ in range(args.followers)]
    await asyncio.sleep(1.0)
    paths, took = ("/jobs?limit=50", f"/jobs/{other}", "/styles", "/health"), defaultdict(list)

    async def client(number: int) -> None:
        for turn in range(args.calls):
            path = paths[(number + turn) % len(paths)]
            took[path.replace(other, "{id}")].append(await call(port, path))

    began = time.monotonic()
    await asyncio.wait_for(asyncio.gather(*map(client, range(args.clients))), PATIENCE_S)
    seconds = time.monotonic() - began
    lost = sum(task.done() for task in following)
    for task in following:
        task.cancel()
    return {
        "clients": args.clients, "followers": args.followers, "followers_lost": lost,
        "calls": args.clients * args.calls, "calls_per_s": round(args.clients * args.calls / seconds, 1),
        "ms": {path: shares(times) for path, times in sorted(took.items())},
    }


def shares(seconds: list[float]) -> dict[str, int]:
    """Median, 95th, 99th of a hundred, slowest; milliseconds."""
    ordered = sorted(seconds)
    found = {f"p{part}": ordered[min(len(ordered) - 1, len(ordered) * part // 100)] for part in (50, 95, 99)}
    return {name: round(1000 * value) for name, value in {**found, "max": ordered[-1]}.items()}


if __name__ == "__main__":
    sys.exit(main())
