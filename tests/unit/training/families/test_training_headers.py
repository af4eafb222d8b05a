"""What a safetensors file says of its tensors is believed where the library of that format believes it."""
from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from personal_avatar.errors import BaseUnsupported
from personal_avatar.training.families.files import read_shapes
from safetensors import SafetensorError, safe_open

BYTES = {"U8": 1, "F16": 2, "F32": 4}
Entries = dict[str, dict[str, Any]]


def laid_out(*tensors: tuple[str, list[int]]) -> Entries:
    """(number format, shape) of each, one behind the other."""
    entries: Entries = {}
    end = 0
    for number, (stored, shape) in enumerate(tensors):
        start, end = end, end + BYTES[stored] * math.prod(shape)
        entries[f"tensor{number}"] = {"dtype": stored, "shape": shape, "data_offsets": [start, end]}
    return entries


def written(path: Path, entries: Entries, data: int, padding: int = 0) -> Path:
    header = json.dumps(entries).encode() + b" " * padding
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(data))
    return path


def is_taken_by_the_library(path: Path) -> bool:
    try:
        with safe_open(path, "numpy"):
            return True
    except SafetensorError:
        return False


def is_taken_by_us(path: Path) -> bool:
    try:
        read_shapes(path)
    except BaseUnsupported:
        return False
    return True


@st.composite
def files(draw: st.DrawFn) -> tuple[Entries, int, int]:
    """Entries in any order, bytes of data, bytes of padding; some of it wrong."""
    tensor = st.tuples(st.sampled_from(list(BYTES)), st.lists(st.integers(0, 3), max_size=3))
    entries = laid_out(*draw(st.lists(tensor, max_size=5)))
    data = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    few = st.integers(-4, 4)
    for name in draw(st.lists(st.sampled_from(list(entries)), max_size=2)) if entries else []:
        other, place = draw(st.sampled_from(list(entries))), draw(st.sampled_from(["data_offsets", "shape"]))
        changed = draw(st.sampled_from([entries[name], entries[other]]))[place]
        entries[name] = entries[name] | {place: [max(0, number + draw(few)) for number in changed]}
    order = draw(st.permutations(list(entries)))
    longer = draw(st.sampled_from([0, 0, 0, -1, 1, 100]))
    return {name: entries[name] for name in order}, max(0, data + longer), draw(st.integers(0, 9))


@given(files())
def test_a_file_is_taken_where_the_library_takes_it(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[Entries, int, int]
) -> None:
    path = written(tmp_path_factory.mktemp("any") / "a.safetensors", *file)
    assert is_taken_by_us(path) == is_taken_by_the_library(path)


def test_empty_tensors_another_order_and_padding_are_taken(tmp_path: Path) -> None:
    entries = laid_out(("F16", [0]), ("F32", [2]), ("U8", [0, 3]), ("F16", [3]), ("U8", [0]))
    path = written(tmp_path / "a.safetensors", dict(reversed(entries.items())), 14, padding=7)
    assert is_taken_by_the_library(path)
    assert list(read_shapes(path)) == list(reversed(entries))


FIRST, SECOND = ("F32", [2]), ("F32", [2])


@pytest.mark.parametrize(("spans", "data", "told"), [
    ([[0, 8], [8, 16]], 116, "its last 100 bytes belong to nothing"),
    ([[0, 8], [0, 8]], 8, "bytes of tensor1 belong to another tensor, too"),
    ([[0, 8], [4, 12]], 12, "bytes of tensor1 belong to another tensor, too"),
    ([[0, 8], [12, 20]], 20, "the bytes before tensor1 belong to nothing"),
    ([[0, 8], [8, 16]], 15, "its end is missing"),
])
def test_bytes_of_nothing_or_of_two_tensors_are_refused_by_name(
    spans: list[list[int]], data: int, told: str, tmp_path: Path
) -> None:
    entries = laid_out(FIRST, SECOND)
    for entry, span in zip(entries.values(), spans, strict=True):
        entry["data_offsets"] = span
    path = written(tmp_path / "a.safetensors", entries, data)
    with pytest.raises(BaseUnsupported) as refused:
        read_shapes(path)
    assert told in refused.value.message and "a.safetensors" in refused.value.message
    assert refused.value.hint == "Download it again."
    assert not is_taken_by_the_library(path)
