"""The shelf of checkpoints: the shipped one, the user's own, the choice between them."""
from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from personal_avatar.domain import Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported, NoCheckpoint
from personal_avatar.standalone.checkpoints import SHIPPED, CheckpointShelf


@pytest.fixture
def shelf(tmp_path: Path) -> CheckpointShelf:
    (tmp_path / "checkpoints").mkdir()
    return CheckpointShelf(tmp_path / "checkpoints", tmp_path / "settings.json", tmp_path / "cache.json")


def test_the_shipped_checkpoint_is_used_when_nothing_was_chosen(shelf: CheckpointShelf) -> None:
    base = shelf.current()
    assert (base.title, base.family, base.prediction) == ("avatar-tiny", Family.SD1, "epsilon")
    assert base.config is not None and base.config.name == "avatar-tiny.yaml"
    assert base.native_px in (128, 192, 256) and len(base.sha256) == 64


def test_installing_copies_weights_and_yaml_once(shelf: CheckpointShelf) -> None:
    base = shelf.install(SHIPPED)
    written = {path.name: path.stat().st_mtime_ns for path in shelf.folder.iterdir()}
    assert set(written) == {"avatar-tiny.safetensors", "avatar-tiny.yaml"}
    assert base.path.parent == shelf.folder and base.native_px == shelf.describe(base.path).native_px
    assert shelf.install(SHIPPED) == base
    assert {path.name: path.stat().st_mtime_ns for path in shelf.folder.iterdir()} == written
    assert shelf.titles() == ["avatar-tiny"]


def test_a_checkpoint_is_found_by_title_file_name_or_path(shelf: CheckpointShelf) -> None:
    base = shelf.install(SHIPPED)
    for wanted in ("avatar-tiny", "Avatar-Tiny", "avatar-tiny.safetensors", str(base.path)):
        assert shelf.find(wanted) == base


def test_the_choice_is_kept(shelf: CheckpointShelf) -> None:
    copy = shelf.folder / "mine.safetensors"
    shutil.copy(SHIPPED / "avatar-tiny.safetensors", copy)
    shutil.copy(SHIPPED / "avatar-tiny.yaml", copy.with_suffix(".yaml"))
    assert shelf.titles() == ["mine", "avatar-tiny"]
    shelf.choose("mine")
    again = CheckpointShelf(shelf.folder, shelf.settings, shelf.cache)
    assert again.current().title == "mine"
    copy.unlink()
    with pytest.raises(NoCheckpoint, match=r"mine\.safetensors"):
        again.current()


def test_damaged_settings_are_the_same_as_none(shelf: CheckpointShelf) -> None:
    shelf.settings.write_text("{")
    shelf.cache.write_text("[]")
    assert shelf.current().title == "avatar-tiny"


def test_what_is_not_there_is_named_together_with_what_is(shelf: CheckpointShelf) -> None:
    with pytest.raises(BaseNotFound) as caught:
        shelf.find("dreamy")
    assert "dreamy" in caught.value.message and "avatar-tiny" in caught.value.hint


def test_a_file_that_is_no_checkpoint_cannot_be_chosen(shelf: CheckpointShelf) -> None:
    (shelf.folder / "junk.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(BaseUnsupported):
        shelf.choose("junk")
    assert shelf.current().title == "avatar-tiny"


def test_a_file_is_hashed_once(shelf: CheckpointShelf, monkeypatch: pytest.MonkeyPatch) -> None:
    import personal_avatar.standalone.checkpoints as module

    first = shelf.current().sha256
    monkeypatch.setattr(module, "sha256_of", lambda path: pytest.fail("hashed again"))
    assert shelf.current().sha256 == first


def test_a_folder_without_a_checkpoint_cannot_be_installed(shelf: CheckpointShelf, tmp_path: Path) -> None:
    with pytest.raises(BaseNotFound):
        shelf.install(tmp_path)
