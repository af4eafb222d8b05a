"""Which files sd-scripts has saved, and which of them are whole."""
from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.training.engines.kohya.outputs import Saved, is_complete, pictures, save_every, saved_files
from safetensors.torch import save_file


def save(path: Path, value: float = 1.0) -> Path:
    save_file({"a": torch.full((4, 4), value)}, path, {"ss_name": "anna"})
    return path


@given(st.integers(1, 20000), st.integers(1, 20))
def test_there_are_never_more_files_than_wanted_and_the_last_is_at_the_end(total: int, count: int) -> None:
    every = save_every(total, count)
    steps = {*range(every, total, every), total}
    assert len(steps) <= count or total < count


def test_files_are_found_by_their_steps(tmp_path: Path) -> None:
    first, last = save(tmp_path / "anna-step00000050.safetensors"), save(tmp_path / "anna.safetensors")
    save(tmp_path / "another.safetensors")
    assert saved_files(tmp_path, "anna", 100) == [Saved(50, first), Saved(100, last)]


def test_a_step_that_was_saved_twice_counts_once(tmp_path: Path) -> None:
    save(tmp_path / "anna-step00000100.safetensors"), save(tmp_path / "anna.safetensors")
    assert [saved.step for saved in saved_files(tmp_path, "anna", 100)] == [100]


def test_a_torn_file_is_left_out(tmp_path: Path) -> None:
    path = save(tmp_path / "anna-step00000050.safetensors")
    whole = path.read_bytes()
    assert is_complete(path)
    for length in (0, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert not is_complete(path)
    assert saved_files(tmp_path, "anna", 100) == []


@pytest.mark.parametrize("header", [
    "[" * 100_000, '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, Infinity]}}',
    '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [8, 4]}}', "{}",
])
def test_a_header_that_lies_is_no_whole_file(tmp_path: Path, header: str) -> None:
    path = tmp_path / "anna.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(4))
    assert not is_complete(path)


def test_a_file_with_more_than_its_header_names_is_not_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "anna.safetensors")
    path.write_bytes(path.read_bytes() + b"\0")
    assert not is_complete(path)


@pytest.mark.parametrize("folder", ["missing", "."])
def test_no_files_are_no_files(tmp_path: Path, folder: str) -> None:
    assert saved_files(tmp_path / folder, "anna", 100) == []
    assert pictures(tmp_path / folder, "anna") == []


def test_samples_are_told_apart_by_step_and_prompt(tmp_path: Path) -> None:
    for name in ("anna_000100_00_{}_1000", "anna_000050_01_{}", "bob_000050_00_{}", "anna_e000001_00_{}"):
        (tmp_path / f"{name.format('20261120092434')}.png").touch()
    assert [(picture.step, picture.number) for picture in pictures(tmp_path, "anna")] == [(50, 1), (100, 0)]
