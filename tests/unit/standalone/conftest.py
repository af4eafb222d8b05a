from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from personal_avatar.standalone.host import StandaloneHost


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneHost]:
    """A host with its own empty data folder and the shipped checkpoint, loaded at the first picture."""
    made = StandaloneHost(tmp_path_factory.mktemp("home"))
    made.folders()
    yield made
    made.unload()


@pytest.fixture
def lora_folder(host: StandaloneHost) -> Iterator[Path]:
    """The host's folder of LoRAs, emptied afterwards."""
    folder = host.folders().loras
    yield folder
    for file in folder.glob("*.safetensors"):
        file.unlink()
