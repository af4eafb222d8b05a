"""The shelf of checkpoints: the shipped one, the user's own, the choice between them."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from miniatures import make
from personal_avatar.domain import Family
from personal_avatar.errors import BaseNotFound, BaseUnsupported, NoCheckpoint, NotReadable
from personal_avatar.shipped import AVATAR_TINY
from personal_avatar.standalone.checkpoints import CheckpointShelf
from safetensors.torch import save_file

pytestmark = pytest.mark.slow


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
    base = shelf.install(AVATAR_TINY)
    written = {path.name: path.stat().st_mtime_ns for path in shelf.folder.iterdir()}
    assert set(written) == {"avatar-tiny.safetensors", "avatar-tiny.yaml"}
    assert base.path.parent == shelf.folder and base.native_px == shelf.describe(base.path).native_px
    assert shelf.install(AVATAR_TINY) == base
    assert {path.name: path.stat().st_mtime_ns for path in shelf.folder.iterdir()} == written
    assert shelf.titles() == ["avatar-tiny"]


def test_a_checkpoint_is_found_by_title_file_name_or_path(shelf: CheckpointShelf) -> None:
    base = shelf.install(AVATAR_TINY)
    for wanted in ("avatar-tiny", "Avatar-Tiny", "avatar-tiny.safetensors", str(base.path)):
        assert shelf.find(wanted) == base


@pytest.mark.parametrize("wanted", [
    "~nobody-of-that-name", "~nobody-of-that-name/mine.safetensors", "a" * 300 + ".safetensors", "a\0.ckpt", " ", "/",
])
def test_what_can_be_no_path_is_no_checkpoint_either(shelf: CheckpointShelf, wanted: str) -> None:
    with pytest.raises(BaseNotFound, match="avatar-tiny"):
        shelf.find(wanted)


def test_a_file_that_is_there_and_no_checkpoint_is_named(shelf: CheckpointShelf, tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": torch.zeros(2, 768)}}, tmp_path / "anna.pt")
    with pytest.raises(BaseUnsupported, match=r"anna\.pt is an embedding"):
        shelf.find(str(tmp_path / "anna.pt"))
    (shelf.folder / "folder.ckpt").mkdir()
    assert "folder" not in shelf.titles()


def test_a_folder_of_diffusers_is_named_where_its_path_is_given(shelf: CheckpointShelf, tmp_path: Path) -> None:
    (tmp_path / "pony").mkdir()
    with pytest.raises(BaseNotFound):
        shelf.find(str(tmp_path / "pony"))
    (tmp_path / "pony" / "model_index.json").write_text("{}")
    with pytest.raises(BaseUnsupported, match="pony is a folder in diffusers layout"):
        shelf.find(str(tmp_path / "pony"))


def test_the_choice_is_kept(shelf: CheckpointShelf) -> None:
    copy = shelf.folder / "mine.safetensors"
    shutil.copy(AVATAR_TINY / "avatar-tiny.safetensors", copy)
    shutil.copy(AVATAR_TINY / "avatar-tiny.yaml", copy.with_suffix(".yaml"))
    assert shelf.titles() == ["mine", "avatar-tiny"]
    shelf.choose("mine")
    again = CheckpointShelf(shelf.folder, shelf.settings, shelf.cache)
    assert again.current().title == "mine"
    copy.unlink()
    with pytest.raises(NoCheckpoint, match=r"mine\.safetensors"):
        again.current()


@pytest.fixture
def mine(shelf: CheckpointShelf) -> Path:
    """Another checkpoint, which is the chosen one."""
    mine = shelf.folder / "mine.safetensors"
    shutil.copyfile(AVATAR_TINY / "avatar-tiny.safetensors", mine)
    shelf.choose("mine")
    return mine


def test_a_choice_that_an_editor_saved_with_its_mark_of_utf_8_stands(shelf: CheckpointShelf, mine: Path) -> None:
    edited = json.dumps({"checkpoint": str(mine), "note": "für Ann"}, ensure_ascii=False)
    shelf.settings.write_text(edited, encoding="utf-8-sig")
    assert shelf.current().path == mine
    shelf.choose("avatar-tiny")
    assert json.loads(shelf.settings.read_text(encoding="utf-8"))["note"] == "für Ann"


@pytest.mark.parametrize("damaged", ["", "{", '{"checkpoint": "mine", "note": "x",}', '["mine"]'])
def test_damaged_settings_are_named_and_stay_as_they_are(shelf: CheckpointShelf, mine: Path, damaged: str) -> None:
    shelf.settings.write_text(damaged)
    for act in (shelf.current, lambda: shelf.choose("avatar-tiny")):
        with pytest.raises(NotReadable, match=r"settings\.json is damaged: ") as refused:
            act()
        assert "avatar-tiny" in refused.value.hint
    assert shelf.fall_back() == "" and shelf.settings.read_text() == damaged
    shelf.settings.unlink()
    assert shelf.current().title == "avatar-tiny"


def test_settings_that_cannot_be_read_now_are_not_none(shelf: CheckpointShelf) -> None:
    shelf.settings.mkdir()  # which no user may read as a file
    for act in (shelf.current, lambda: shelf.choose("avatar-tiny")):
        with pytest.raises(NotReadable, match=r"settings\.json cannot be read now"):
            act()
    assert shelf.fall_back() == ""


def test_damaged_hashes_are_computed_again(shelf: CheckpointShelf) -> None:
    sha256 = shelf.current().sha256
    shelf.cache.write_text("[]")
    assert shelf.current().sha256 == sha256


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


@pytest.mark.parametrize("in_place", [
    False, pytest.param(True, marks=pytest.mark.skipif(os.name == "nt", reason="no file tells when it was changed")),
])
def test_a_file_of_the_same_size_and_time_that_was_changed_is_hashed_again(
    shelf: CheckpointShelf, mine: Path, in_place: bool
) -> None:
    first, before = shelf.current().sha256, mine.stat()
    changed = mine.read_bytes()[:-4] + b"else"
    target = mine if in_place else mine.with_name("on-its-way")
    target.write_bytes(changed)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    target.replace(mine)
    now = mine.stat()
    assert (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert shelf.current().sha256 == hashlib.sha256(changed).hexdigest() != first
    assert list(json.loads(shelf.cache.read_text())) == [str(mine)]


def test_a_folder_without_a_checkpoint_cannot_be_installed(shelf: CheckpointShelf, tmp_path: Path) -> None:
    with pytest.raises(BaseNotFound):
        shelf.install(tmp_path)


def test_other_files_in_the_folder_neither_are_offered_nor_break_anything(shelf: CheckpointShelf) -> None:
    base = shelf.install(AVATAR_TINY)
    layouts = {
        "lora": "lora_unet_mid_block_attentions_0_proj_in.lora_up.weight", "embedding": "emb_params",
        "vae": "decoder.conv_in.weight", "unet": "model.diffusion_model.input_blocks.0.0.weight",
    }
    for name, key in layouts.items():
        save_file({key: torch.zeros(4, 4, 3, 3)}, shelf.folder / f"{name}.safetensors")
    whole = base.path.read_bytes()
    (shelf.folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (shelf.folder / "empty.safetensors").write_bytes(b"")
    (shelf.folder / "folder.safetensors").mkdir()
    assert shelf.titles() == ["avatar-tiny"] and shelf.current().title == "avatar-tiny"
    for name in ("lora", "embedding", "vae", "unet", "cut", "empty"):
        with pytest.raises(BaseUnsupported, match=name):
            shelf.choose(name)
    assert shelf.find("avatar-tiny") == base


def test_the_vae_beside_a_checkpoint_goes_with_it(shelf: CheckpointShelf) -> None:
    base = shelf.install(AVATAR_TINY)
    assert base.vae is None
    vae = base.path.with_name("avatar-tiny.vae.safetensors")
    save_file({"decoder.conv_in.weight": torch.zeros(4, 4, 3, 3)}, vae)
    assert shelf.find("avatar-tiny").vae == vae and shelf.titles() == ["avatar-tiny"]


@pytest.mark.parametrize(("family", "how", "prediction", "terminal"), [
    (Family.SD1, {}, "epsilon", False),
    (Family.SD2, {"prediction": "v_prediction"}, "v_prediction", False),
    (Family.SDXL, {"prediction": "v_prediction", "zero_terminal_snr": True}, "v_prediction", True),
    (Family.SDXL, {"half": True, "suffix": ".ckpt"}, "epsilon", False),
])
def test_a_checkpoint_is_described_from_its_header_and_its_yaml(
    shelf: CheckpointShelf, family: Family, how: dict[str, Any], prediction: str, terminal: bool
) -> None:
    path = make(family, shelf.folder, **how).path
    base = shelf.find("miniature")
    assert (base.path, base.family, base.prediction) == (path, family, prediction)
    assert base.zero_terminal_snr is terminal and base.config == path.with_suffix(".yaml")


def test_without_a_yaml_the_size_is_the_familys(shelf: CheckpointShelf) -> None:
    sizes = {}
    for family in Family:
        path = make(family, shelf.folder, name=family.value).path
        path.with_suffix(".yaml").unlink()
        sizes[family] = shelf.find(family.value).native_px
    assert sizes == {Family.SD1: 512, Family.SD2: 768, Family.SDXL: 1024}
    assert shelf.find("sd2").prediction == "", "only the network can tell"


@pytest.mark.parametrize("cells", [-64, 10**6, True])
def test_a_side_that_no_picture_has_is_not_believed(shelf: CheckpointShelf, cells: int) -> None:
    path = make(Family.SD1, shelf.folder).path
    path.with_suffix(".yaml").write_text(json.dumps({"model": {"params": {"image_size": cells}}}))
    assert shelf.find("miniature").native_px == 512


def test_where_the_chosen_one_was_erased_the_shipped_one_is_chosen_and_nothing_of_it_remembered(
    shelf: CheckpointShelf
) -> None:
    mine = shelf.folder / "anna.safetensors"
    shutil.copyfile(AVATAR_TINY / "avatar-tiny.safetensors", mine)
    shelf.choose("anna")
    assert shelf.fall_back() == "" and shelf.current().path == mine
    mine.unlink()
    with pytest.raises(NoCheckpoint) as refused:
        shelf.current()
    assert "--checkpoint avatar-tiny" in refused.value.hint
    assert shelf.fall_back() == "avatar-tiny" and shelf.current().title == "avatar-tiny"
    assert "anna" not in shelf.cache.read_text(encoding="utf-8") + shelf.settings.read_text(encoding="utf-8")
