"""The extension in two folders: one copy is used, and says so of the other."""
from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from personal_avatar.wording import LANGUAGES

from tests.unit.webui.conftest import Loaded

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture()
def copies(loaded: Loaded, stood_in: ModuleType) -> Any:
    stood_in.scripts.basedir = lambda: str(REPOSITORY)
    return loaded("copies")


def test_the_script_of_the_same_folder_is_ours_also_through_a_link(
    copies: Any, stood_in: ModuleType, tmp_path: Path
) -> None:
    link = tmp_path / "personal-avatar"
    link.symlink_to(REPOSITORY)
    assert not copies.is_another()
    stood_in.scripts.basedir = lambda: str(link)
    assert not copies.is_another() and copies.warning() == ""


def test_the_script_of_another_folder_is_told_with_both_folders_until_it_is_removed(
    copies: Any, stood_in: ModuleType, tmp_path: Path
) -> None:
    second = tmp_path / "personal-avatar-main"
    second.mkdir()
    stood_in.scripts.basedir = lambda: str(second)
    assert copies.is_another() and copies.is_another()
    for language in LANGUAGES:
        said = copies.warning(language)
        assert str(REPOSITORY) in said and said.count(str(second)) == 1
    second.rmdir()
    assert copies.warning() == ""
