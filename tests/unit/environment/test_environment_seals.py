"""doctor says who seals pictures, and how much memory a training could have."""
from __future__ import annotations

from pathlib import Path

import pytest
from personal_avatar import credentials
from personal_avatar.environment import free, machine
from personal_avatar.environment.finding import State
from personal_avatar.environment.free import Free


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "installed", lambda: False)
    found = machine.content_credentials()
    assert found.state is State.OK and "pip install c2pa-python" in found.found


def test_a_certificate_that_is_not_there_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(credentials, "installed", lambda: True)
    assert "untrusted" in machine.content_credentials().found
    monkeypatch.setenv(f"{credentials.VARIABLE}_CERTIFICATE", str(tmp_path / "none.pem"))
    assert "go together" in machine.content_credentials().found
    monkeypatch.setenv(f"{credentials.VARIABLE}_KEY", str(tmp_path / "none.key"))
    assert machine.content_credentials().state is State.WARNING
    monkeypatch.setenv(credentials.VARIABLE, "off")
    assert machine.content_credentials().found == "switched off"


@pytest.mark.parametrize(("measured", "words"), [
    (Free("vram", 9.26, 12.0, "Some Card"), "9.3 of 12.0 GB of the graphics card (Some Card)"),
    (Free("ram", 3.0, 8.0), "3.0 of 8.0 GB of main memory"),
])
def test_the_room_for_a_training_is_told(measured: Free, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free, "measured", lambda ours=(): measured)
    assert words in machine.room().found
