from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from personal_avatar.standalone.app import build_app
from personal_avatar.studio import Studio

from tests.unit.api.house import build_studio
from tests.unit.ui.visitor import Visitor


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, face_weights: Path) -> Studio:
    """One house for the tests of a file; they use names of their own."""
    return build_studio(tmp_path_factory.mktemp("house") / "data", face_weights)


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(build_app(studio)) as client:
        yield client


@pytest.fixture
def visit(client: TestClient) -> Callable[..., Visitor]:
    """Opens the page: `visit(accept="vi")`."""
    return lambda **how: Visitor(client, **how)
