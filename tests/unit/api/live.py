"""A real server for tests of what only a real one shows: sockets, chunks, many clients at once."""
from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI
from personal_avatar.api.routes import build_router
from personal_avatar.studio import Studio


@contextmanager
def served(studio: Studio) -> Iterator[int]:
    """The port on 127.0.0.1 of an app with our routes, in a thread of this process."""
    app = FastAPI()
    app.include_router(build_router(studio))
    config = uvicorn.Config(app, port=0, log_level="error", timeout_graceful_shutdown=1, backlog=1000)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)
