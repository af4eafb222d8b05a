"""Files that would take far more memory than they are long are refused by their sizes, before anything is unpacked."""
from __future__ import annotations

import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from personal_avatar.errors import BaseUnsupported
from personal_avatar.pickles import load_pickle, read_contents, read_pickle
from torch import serialization

MB = 2**20
WEIGHTS = {"a.weight": torch.arange(6000.0).reshape(2, 3000), "b.bias": torch.ones(3, dtype=torch.float16)}
ASKS_FOR_A_GB = b"\x80\x04\x8d" + struct.pack("<Q", 1024 * MB)  # a text of that length is to follow
READERS: list[Callable[[Path], Any]] = [
    read_contents, lambda path: load_pickle(path, "meta"), lambda path: read_pickle(path, "cpu"),
]


def packed_again(path: Path, entry: str = "", content: bytes = b"", weights: dict[str, Any] = WEIGHTS) -> Path:
    """A checkpoint that another program deflated; `content` in the place of one entry."""
    stored = path.with_suffix(".stored")
    torch.save({"state_dict": weights}, stored)
    with zipfile.ZipFile(stored) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, content if entry and name.endswith(entry) else old.read(name))
    return path


@pytest.mark.parametrize("weights", [WEIGHTS, {"zeros": torch.zeros(4 * MB)}])
def test_a_checkpoint_that_was_deflated_is_read(weights: dict[str, Any], tmp_path: Path) -> None:
    path = packed_again(tmp_path / "a.ckpt", weights=weights)
    read = load_pickle(path, "cpu")
    assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())
    shapes = {f"state_dict.{name}": tuple(tensor.shape) for name, tensor in weights.items()}
    assert read_contents(path) == shapes


@pytest.mark.parametrize("read", READERS)
def test_contents_that_unpack_to_much_are_refused_before_they_are(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed_again(tmp_path / "a.ckpt", "/data.pkl", ASKS_FOR_A_GB + bytes(64 * MB))
    monkeypatch.setattr(serialization, "load", lambda *_, **__: pytest.fail("it was read"))
    tracemalloc.start()
    with pytest.raises(BaseUnsupported, match=r"a\.ckpt .*its list of contents would unpack to 67 MB"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 10 * MB
    tracemalloc.stop()


@pytest.mark.parametrize("entry", ["/data/0", "/version"])
@pytest.mark.parametrize("read", READERS[1:])
def test_anything_else_that_unpacks_to_much_is_refused_before_it_is(
    read: Callable[[Path], Any], entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = packed_again(tmp_path / "a.ckpt", entry, bytes(100 * MB))
    monkeypatch.setattr(serialization, "load", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(torch._C, "PyTorchFileReader", lambda *_: pytest.fail("it was opened"))
    with pytest.raises(BaseUnsupported, match=r"a\.ckpt .*would unpack to \d+ times its size"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_contents_that_say_less_than_they_unpack_to_take_no_more_than_they_say(
    read: Callable[[Path], Any], tmp_path: Path
) -> None:
    content = ASKS_FOR_A_GB + bytes(200 * MB)
    path = packed_again(tmp_path / "a.ckpt", "/data.pkl", content)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", len(content)), struct.pack("<I", 100)))
    del content
    tracemalloc.start()
    with pytest.raises(BaseUnsupported, match=r"a\.ckpt cannot be read"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 10 * MB
    tracemalloc.stop()


@pytest.mark.parametrize("read", READERS[1:])
def test_without_a_zip_tensors_that_are_larger_than_the_file_are_refused(
    read: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"x": torch.zeros(777)}, path, _use_new_zipfile_serialization=False)
    assert read(path)["x"].shape == (777,)
    path.write_bytes(path.read_bytes().replace(struct.pack("<BH", 77, 777), b"J" + struct.pack("<I", 2**31 - 1)))
    monkeypatch.setattr(serialization, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(BaseUnsupported, match=r"a\.ckpt .*it says that it holds 8590 MB of tensors"):
        read(path)


@pytest.mark.parametrize("read", READERS)
def test_without_a_zip_contents_end_where_no_checkpoints_do(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"x": torch.zeros(1), "text": "a" * 17 * MB}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(BaseUnsupported, match=r"a\.ckpt cannot be read"):
        read(path)
