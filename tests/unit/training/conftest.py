"""A miniature checkpoint with random weights, loaded once where a test does not change it."""
from __future__ import annotations

from collections.abc import Callable

import pytest
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family

from tests import shipped


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> BaseModelFile:
    return make(Family.SD1, tmp_path_factory.mktemp("checkpoint"), half=True)


@pytest.fixture(scope="session")
def tiny() -> BaseModelFile:
    return shipped.tiny()


@pytest.fixture(scope="module")
def load_miniature(miniature: BaseModelFile) -> Callable[[], object]:
    """A fresh model at each call."""
    import torch
    from personal_avatar.training import compute
    from personal_avatar.training.families import registry

    torch.set_num_threads(1)
    return lambda: registry.load(miniature, compute.choose("fp32"), 64)
