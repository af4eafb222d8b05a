"""Reading the files of checkpoints and VAEs: names and shapes alone, or the tensors; never code."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import BaseNotFound, BaseUnsupported
from personal_avatar.networks import Header, header_of
from personal_avatar.pickles import load_pickle, other_content, read_contents
from personal_avatar.problems import stated
from personal_avatar.training.families.marks import stamp
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, "torch.Tensor"]
Stored = Mapping[str, "torch.Tensor"]

_PART = re.compile(r"-(\d{5})-of-(\d{5})\.", re.IGNORECASE)  # in the names that libraries give to parts of a model
_FORMATS = {  # torch's name, and bytes a number; older releases of torch have not all of the last ones
    "F64": ("float64", 8), "F32": ("float32", 4), "F16": ("float16", 2), "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3fn", 1), "F8_E5M2": ("float8_e5m2", 1), "I64": ("int64", 8), "I32": ("int32", 4),
    "I16": ("int16", 2), "I8": ("int8", 1), "U8": ("uint8", 1), "BOOL": ("bool", 1),
    "U64": ("uint64", 8), "U32": ("uint32", 4), "U16": ("uint16", 2), "C64": ("complex64", 8),
}
_CODES = {name: code for code, (name, _) in _FORMATS.items()}
_FLOATING, _HALVES = ("F", "BF"), ("F16", "BF16")


class OneByOne(Mapping[str, "torch.Tensor"]):
    """The tensors of a safetensors file, each read from it when it is asked for, and at every time anew.

    Plain reads, so that nothing of the file but that tensor is ever in the memory of the process. Asking raises
    `KeyError`, `BaseNotFound` when the file is gone, and `BaseUnsupported` for one that was changed since, and for a
    tensor in a number format of no network.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._stamp, self._header = path, stamp(path.stat()), _header(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self._header.shapes)

    def __len__(self) -> int:
        return len(self._header.shapes)

    def __contains__(self, name: object) -> bool:
        return name in self._header.shapes

    @property
    def shapes(self) -> Shapes:
        return dict(self._header.shapes)

    def __getitem__(self, name: str) -> torch.Tensor:
        import torch

        shape, (_, first, end) = self._header.shapes[name], self._header.spans[name]
        found = torch.empty(shape, dtype=self.dtype(name))
        with self._opened() as file:
            file.seek(first)
            read = file.readinto(found.view(-1).view(torch.uint8).numpy().data) if end > first else 0
        if read != end - first:
            raise stated(BaseUnsupported, "base.ends", "remedy.again", file=self._path.name, tensor=name)
        return found

    def dtype(self, name: str) -> torch.dtype:
        """Of a tensor. Raises `BaseUnsupported` for a number format that torch does not have here."""
        import torch

        stored, _, _ = self._header.spans[name]
        found: torch.dtype | None = getattr(torch, _FORMATS.get(stored, ("", 0))[0], None)
        if found is None:
            values = {"file": self._path.name, "tensor": name, "format": stored}
            raise stated(BaseUnsupported, "base.format", "remedy.convert", **values)
        return found

    def _opened(self) -> BufferedReader:
        """The file that the header was read of."""
        try:
            file = self._path.open("rb")
        except FileNotFoundError:
            raise _nothing_at(self._path) from None
        if stamp(os.fstat(file.fileno())) != self._stamp:
            file.close()
            raise stated(BaseUnsupported, "base.changed", "remedy.start_again", file=self._path.name)
        return file


def read_shapes(path: Path) -> Shapes:
    """Name -> shape of every tensor of a checkpoint. Raises `BaseNotFound`, `BaseUnsupported`."""
    _must_exist(path)
    return dict(_header(path).shapes) if is_one_by_one(path) else dict(_pickled_now(path)[0])


def not_floating(path: Path) -> dict[str, str]:
    """Name -> number format of the tensors that are no floating point numbers. Raises `BaseNotFound`,
    `BaseUnsupported`."""
    return {name: stored for name, stored in _formats(path).items() if not stored.startswith(_FLOATING)}


def in_half(path: Path) -> frozenset[str]:
    """Names of the tensors in half precision. Raises `BaseNotFound`, `BaseUnsupported`."""
    return frozenset(name for name, stored in _formats(path).items() if stored in _HALVES)


def _formats(path: Path) -> dict[str, str]:
    """Name -> number format, as safetensors call it."""
    _must_exist(path)
    if is_one_by_one(path):
        return {name: stored for name, (stored, _, _) in _header(path).spans.items()}
    return _pickled_now(path)[1]


def is_one_by_one(path: Path) -> bool:
    """Whether single tensors of the file can be read; a pickle is read as a whole."""
    return path.suffix.lower() == ".safetensors"


def open_weights(path: Path) -> Stored:
    """All tensors, on the CPU, as they are stored: of a safetensors file read one by one as they are asked for.

    Raises `BaseNotFound`, `BaseUnsupported`.
    """
    _must_exist(path)
    return OneByOne(path) if is_one_by_one(path) else load_pickle(path, "cpu")


def read_weights(path: Path) -> Weights:
    """All tensors, in memory. Raises `BaseNotFound`, `BaseUnsupported`."""
    return dict(open_weights(path))


def refuse_unreadable(path: Path) -> None:
    """For whoever will need all tensors, before any is read. Raises what `read_weights` raises of their formats."""
    if is_one_by_one(path):  # a pickle is read as a whole anyway
        stored = OneByOne(path)
        for name in stored:
            stored.dtype(name)


def read_some(path: Path, names: list[str]) -> Weights:
    """Some tensors of a checkpoint, as they are stored. Raises `KeyError` for a name that is not there."""
    stored = open_weights(path)
    return {name: stored[name] for name in names}


def is_diffusers_folder(path: Path) -> bool:
    """Whether a model lies there in many files, as diffusers saves it. Raises `OSError` for what can be no path."""
    return (path / "model_index.json").is_file()


def _must_exist(path: Path) -> None:
    if is_diffusers_folder(path):
        raise stated(BaseUnsupported, "base.folder", "remedy.folder", file=path.name)
    if not path.is_file():
        raise _nothing_at(path)
    part = _PART.search(path.name)
    if part and int(part[2]) > 1:
        values = {"file": path.name, "part": int(part[1]), "parts": int(part[2])}
        raise stated(BaseUnsupported, "base.part", "remedy.parts", **values)


def _nothing_at(path: Path) -> BaseNotFound:
    return stated(BaseNotFound, "base.nothing", place=path)


def _header(path: Path) -> Header:
    try:
        header = header_of(path)
        _refuse_misfits(header)
    except ValueError as error:
        what, remedy = other_content(path)
        values = {"file": path.name, "cause": what or error}
        raise stated(BaseUnsupported, "base.unreadable", remedy or "remedy.again", **values) from None
    return header


def _refuse_misfits(header: Header) -> None:
    """Raises `ValueError` for a tensor of more or fewer bytes than its shape and number format take."""
    for name, (stored, first, end) in header.spans.items():
        if stored in _FORMATS and end - first != math.prod(header.shapes[name]) * _FORMATS[stored][1]:
            raise ValueError(text("content.misfit", tensor=name))


def _pickled_now(path: Path) -> tuple[Shapes, dict[str, str]]:
    return _pickled(path, *stamp(path.stat()))


@lru_cache(maxsize=16)
def _pickled(path: Path, size: int, changed_ns: int) -> tuple[Shapes, dict[str, str]]:
    """Shapes and number formats, read once while the file stays the same: without a zip around it, all of it is read.
    Of tensors in dictionaries of dictionaries, as embeddings have them, only where there are no others, and no
    formats."""
    found = load_pickle(path, "meta")
    formats = {name: str(tensor.dtype).removeprefix("torch.") for name, tensor in found.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    return shapes or read_contents(path), {name: _CODES.get(stored, stored) for name, stored in formats.items()}
