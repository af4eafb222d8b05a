"""Names and shapes in pickled files, read without torch and without running anything."""
from __future__ import annotations

import collections
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import BaseUnsupported
from personal_avatar.pickles import load_pickle, read_contents, read_pickle

NESTED = {
    "image_proj": collections.OrderedDict(a=torch.ones(2, 3), b=torch.nn.Parameter(torch.ones(4, dtype=torch.float16))),
    "ip_adapter": {"1.to_k_ip.weight": torch.ones(5, 6).t(), "flag": torch.tensor(True)}, "step": 3, "size": (7, 8),
}
SHAPES = {"image_proj.a": (2, 3), "image_proj.b": (4,), "ip_adapter.1.to_k_ip.weight": (6, 5), "ip_adapter.flag": ()}


@pytest.mark.parametrize("zipped", [True, False])
def test_shapes_are_those_of_the_tensors(zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save(NESTED, path, _use_new_zipfile_serialization=zipped)
    assert read_contents(path) == SHAPES
    weights = {"x": torch.zeros(3, 1), "y": torch.nn.Parameter(torch.zeros(2))}
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    assert read_contents(path) == {name: tuple(one.shape) for name, one in load_pickle(path, "meta").items()}


def test_the_tensors_themselves_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    torch.save({"x": torch.zeros(1000)}, path)
    damaged = bytearray(path.read_bytes())
    where = damaged.index(bytes(4000))
    damaged[where : where + 4000] = b"x" * 4000
    path.write_bytes(damaged)
    assert read_contents(path) == {"x": (1000,)}


def test_dictionaries_in_each_other_without_end_are_refused_at_once(tmp_path: Path) -> None:
    found: dict[str, object] = {}
    for _ in range(40):
        found = {"x": found, "y": found}
    path = tmp_path / "a.pt"
    torch.save(found, path)
    with pytest.raises(BaseUnsupported, match="more dictionaries than anybody reads"):
        read_contents(path)


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.bin", tmp_path / "ran"
    torch.save({"x": torch.zeros(1), "more": Runs(trace)}, path, _use_new_zipfile_serialization=zipped)
    for read in (read_contents, lambda file: read_pickle(file, "cpu")):
        with pytest.raises(BaseUnsupported, match=r"evil\.bin.*wants to run"):
            read(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", pickle.dumps({"a": 1}), pickle.dumps([1])])
def test_what_holds_no_names_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(BaseUnsupported, match=r"a\.bin cannot be read"):
        read_contents(tmp_path / "a.bin")


@given(data=st.binary(max_size=200), zipped=st.booleans())
def test_no_bytes_break_it(data: bytes, zipped: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "a.bin"
    path.write_bytes(b"PK\x03\x04" + data if zipped else data)
    with pytest.raises(BaseUnsupported):
        read_contents(path)


def test_it_needs_no_torch(tmp_path: Path) -> None:
    torch.save(NESTED, tmp_path / "a.bin")
    program = (
        "import sys; from pathlib import Path; from personal_avatar.pickles import read_contents; "
        f"assert len(read_contents(Path({str(tmp_path / 'a.bin')!r}))) == 4; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2] / "extension")


def test_a_process_whose_loading_was_replaced_still_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(NESTED, tmp_path / "a.bin")
    monkeypatch.setattr(torch, "load", lambda *_, **__: None)
    assert set(read_pickle(tmp_path / "a.bin", "cpu")) == set(NESTED)
