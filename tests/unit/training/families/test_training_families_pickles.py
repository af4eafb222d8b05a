"""Pickled checkpoints: tensors come out, code never runs."""
from __future__ import annotations

import argparse
import collections
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.families import files
from personal_avatar.training.families.detect import detect
from personal_avatar.training.families.files import in_half, load_pickle, not_floating, read_shapes, read_weights

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b.bias": torch.ones(3, dtype=torch.float16)}


class Runs:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_out_as_they_went_in(wrapped: bool, zipped: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": WEIGHTS} if wrapped else WEIGHTS, path, _use_new_zipfile_serialization=zipped)
    read = read_weights(path)
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in WEIGHTS.items())
    assert read_shapes(path) == {"a.weight": (2, 3), "b.bias": (3,)}


@pytest.mark.parametrize("zipped", [True, False])
def test_shapes_and_number_formats_are_read_once_while_a_file_stays_the_same(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a zip around it, all of a file is read for them."""
    path, read = tmp_path / "a.ckpt", []

    def counted(*given: Any) -> Any:
        read.append(path)
        return load_pickle(*given)

    monkeypatch.setattr(files, "load_pickle", counted)
    for number, whole in enumerate((torch.int8, torch.int64), 1):
        weights = {**WEIGHTS, "c": torch.ones(number, dtype=whole)}
        torch.save(weights, path, _use_new_zipfile_serialization=zipped)
        for _ in range(2):
            assert read_shapes(path)["c"] == (number,)
            assert not_floating(path) == {"c": {torch.int8: "I8", torch.int64: "I64"}[whole]}
            assert in_half(path) == {"b.bias"}
        assert len(read) == number


def test_the_state_of_a_training_program_is_passed_over(tmp_path: Path) -> None:
    state = collections.OrderedDict({**WEIGHTS, "c": torch.nn.Parameter(torch.ones(1))})
    more = {"epoch": 3, "best": np.float64(0.5), "settings": argparse.Namespace(rate=1e-4), "counts": np.arange(3)}
    more |= {"seen": {1, 2}, "others": torch.nn.ParameterDict({"d": torch.nn.Parameter(torch.ones(1))})}
    torch.save({"state_dict": state, **more}, tmp_path / "a.ckpt")
    assert read_shapes(tmp_path / "a.ckpt") == {"a.weight": (2, 3), "b.bias": (3,), "c": (1,)}


@pytest.mark.parametrize("plain", [True, False])
def test_code_in_a_file_does_not_run_and_is_named(plain: bool, tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.ckpt", tmp_path / "ran"
    data = {"state_dict": WEIGHTS, "more": Runs(trace)}
    if plain:
        path.write_bytes(pickle.dumps({"state_dict": Runs(trace)}))
    else:
        torch.save(data, path)
    with pytest.raises(BaseUnsupported, match=r"evil\.ckpt cannot be read as plain tensors.*Convert it"):
        read_weights(path)
    assert not trace.exists()


class Scripted(torch.nn.Module):
    """Leaves a file behind when it is loaded as TorchScript."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.path, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.path, self.training = state
        torch.save(torch.ones(1), self.path)


def scripted(path: Path, trace: Path) -> Path:
    torch.jit.script(Scripted(str(trace))).save(str(path))
    torch.jit.load(str(path))
    trace.unlink()  # it does run
    return path


@pytest.mark.parametrize("read", [read_shapes, read_weights])
def test_torchscript_does_not_run_either(read: Callable[[Path], object], tmp_path: Path) -> None:
    path, trace = scripted(tmp_path / "evil.ckpt", tmp_path / "ran"), tmp_path / "ran"
    with pytest.raises(BaseUnsupported, match="a TorchScript program"):
        read(path)
    assert not trace.exists()


def test_code_without_constants_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "odd.ckpt"
    torch.save(WEIGHTS, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("odd/code/__torch__.py", "")
    with pytest.raises(BaseUnsupported, match="a TorchScript program"):
        read_shapes(path)


def test_a_pickled_embedding_is_named(tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": torch.zeros(2, 768)}, "name": "anna"}, tmp_path / "anna.pt")
    with pytest.raises(BaseUnsupported, match=r"anna\.pt is an embedding"):
        detect(read_shapes(tmp_path / "anna.pt"), "anna.pt")


def test_what_is_called_by_no_text_is_passed_over(tmp_path: Path) -> None:
    torch.save({**WEIGHTS, 7: torch.zeros(1)}, tmp_path / "a.ckpt")
    assert read_shapes(tmp_path / "a.ckpt").keys() == WEIGHTS.keys()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2]), pickle.dumps(5)])
def test_what_holds_no_names_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(BaseUnsupported, match=r"a\.pt cannot be read"):
        read_weights(tmp_path / "a.pt")


@given(data=st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_pickles(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "a.ckpt"
    path.write_bytes(data)
    try:
        assert read_shapes(path) == {}
    except BaseUnsupported as error:
        assert "plain tensors" in error.message
