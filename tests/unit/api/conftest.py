from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from personal_avatar.api.routes import build_router
from personal_avatar.studio import Studio

from tests.unit.api.house import build_studio


@pytest.fixture()
def studio(tmp_path: Path, face_weights: Path) -> Studio:
    return build_studio(tmp_path / "data", face_weights)


@pytest.fixture()
def app(studio: Studio) -> FastAPI:
    """An app of somebody else's with our router in it."""
    app = FastAPI()

    @app.get("/theirs/{number}")
    def theirs(number: int) -> int:
        return number

    app.include_router(build_router(studio))
    return app


@pytest.fixture()
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
