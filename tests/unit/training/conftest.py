"""A miniature checkpoint with random weights, loaded once where a test does not change it."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from miniatures import make
from personal_avatar.domain import BaseModelFile, Family


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> BaseModelFile:
    return make(Family.SD1, tmp_path_factory.mktemp("checkpoint"), half=True)


@pytest.fixture(scope="session")
def tiny() -> BaseModelFile:
    """The shipped checkpoint, of this repository's own drawings."""
    import personal_avatar

    folder = Path(personal_avatar.__file__).parent / "assets" / "avatar-tiny"
    path = folder / "avatar-tiny.safetensors"
    return BaseModelFile(path, "avatar-tiny", Family.SD1, config=path.with_suffix(".yaml"), native_px=192)


@pytest.fixture(scope="module")
def load_miniature(miniature: BaseModelFile) -> Callable[[], object]:
    """A fresh model at each call."""
    import torch
    from personal_avatar.training import compute
    from personal_avatar.training.families import registry

    torch.set_num_threads(1)
    return lambda: registry.load(miniature, compute.choose("fp32"), 64)
