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
    """An app of somebody else's with our routes in it. `standing` includes them as programs do, which makes each of
    them once more and takes longer than most tests."""
    app = FastAPI()

    @app.get("/theirs/{number}")
    def theirs(number: int) -> int:
        return number

    app.router.routes.extend(build_router(studio).routes)
    return app


@pytest.fixture(scope="module")
def standing_studio(tmp_path_factory: pytest.TempPathFactory, face_weights: Path) -> Studio:
    """One for all tests of a file that leave nothing behind, as they only look or are refused."""
    return build_studio(tmp_path_factory.mktemp("standing") / "data", face_weights)


@pytest.fixture(scope="module")
def standing(standing_studio: Studio) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(build_router(standing_studio))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture()
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
