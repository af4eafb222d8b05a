"""What we make is saved beside what is there, whatever names the WebUI's settings ask for."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.webui.conftest import Loaded


@pytest.fixture()
def saving(loaded: Loaded) -> Any:
    return loaded("saving")


def test_a_name_that_is_free_stays(saving: Any, tmp_path: Path) -> None:
    assert saving.free(tmp_path / "v1.5.png") == tmp_path / "v1.5.png"


def test_names_that_come_again_get_numbers(saving: Any, tmp_path: Path) -> None:
    for name in ("base.png", "base-2.png", "base-3.png"):
        assert saving.free(tmp_path / "base.png") == tmp_path / name
        (tmp_path / name).touch()


def test_what_another_picture_has_beside_it_counts_too(saving: Any, tmp_path: Path) -> None:
    (tmp_path / "base.txt").touch()
    assert saving.free(tmp_path / "base.png").name == "base-2.png"


def test_long_names_are_told_apart_before_the_webui_cuts_them(saving: Any, tmp_path: Path) -> None:
    wanted = tmp_path / ("long " * 50 + ".png")
    first = saving.free(wanted)
    first.touch()
    second = saving.free(wanted)
    assert first != second and max(len(str(path)) for path in (first, second)) < 251


def test_only_what_is_ours_is_renamed(saving: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.png").touch()
    added: dict[str, Any] = {}

    @contextmanager
    def noted(category: str, function: Any) -> Iterator[None]:
        added[category] = function
        yield

    monkeypatch.setattr(saving.callbacks, "added", noted)
    own, users = (SimpleNamespace(p=object(), filename=str(tmp_path / "base.png")) for _ in range(2))
    with saving.apart(own.p):
        for saved in (own, users):
            added["before_image_saved"](saved)
    assert [Path(one.filename).name for one in (own, users)] == ["base-2.png", "base.png"]
