"""Pickles of more than one layer: dictionaries of dictionaries of tensors come out as they are, code never runs.

Checkpoints, and everything that may be wrong with a pickle: test_training_families_pickles.py.
"""
from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from personal_avatar.errors import BaseUnsupported
from personal_avatar.pickles import read_pickle


class Runs:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_dictionaries_of_dictionaries_come_out_as_they_went_in(tmp_path: Path) -> None:
    written = {"image_proj": {"a": torch.arange(4.0)}, "ip_adapter": {"1.b": torch.ones(2, dtype=torch.float16)}}
    torch.save(written, tmp_path / "a.bin")
    read = read_pickle(tmp_path / "a.bin", "cpu")
    assert read.keys() == written.keys()
    assert torch.equal(read["image_proj"]["a"], written["image_proj"]["a"])
    assert torch.equal(read["ip_adapter"]["1.b"], written["ip_adapter"]["1.b"])


def test_what_runs_something_deep_inside_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    torch.save({"image_proj": {"a": Runs(trace)}}, tmp_path / "a.bin")
    with pytest.raises(BaseUnsupported, match="wants to run"):
        read_pickle(tmp_path / "a.bin", "cpu")
    assert not trace.exists()
