"""Tensors out of pickled checkpoints (.ckpt, .pt) without running what may be written in them.

Only what makes tensors is ever called. Old checkpoints also carry the state of the program that trained them; objects
of the known kinds are read as empty ones. Everything else in a file is a reason to refuse it. So is what would take far
more memory than the file is long, which its sizes tell before anything is unpacked.
"""

from __future__ import annotations

import codecs
import collections
import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import IO, Any

from personal_avatar.errors import BaseUnsupported
from personal_avatar.problems import stated
from personal_avatar.storage import opened
from personal_avatar.wording import text

_MAKES_TENSORS = {
    "collections": {"OrderedDict"},
    "torch": {"Size", "device", "float16", "float32", "float64", "bfloat16", "int32", "int64", "uint8", "bool"},
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch.nn.parameter": {"Parameter"},
    "torch._tensor": {"_rebuild_from_type_v2"},
    "torch.serialization": {"_get_layout"},
}
_LEFT_EMPTY = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "numpy.", "argparse.", "_codecs.")
# Of what else the WebUI reads: sets, which pickles of protocol 2 call by Python 2's name, and dictionaries of weights.
_LEFT_EMPTY_TOO = {"__builtin__.set", "builtins.set", "torch.nn.modules.container.ParameterDict"}
_STORAGE = "Storage"
_ENCODING = "utf-8"  # of texts that Python 2 wrote, as torch reads them
_ZIP = b"PK\x03\x04"
_LOOKED_AT_BYTES, _SAID_CHARACTERS = 400, 60
_PAGE = ("page", "again")
# The beginnings of files that are no weights, or others: what they are, what to do; keys of "content" and "remedy".
_BEGIN_OTHERWISE = {
    b"gguf": ("gguf", "sixteen"),
    b"version https://git-lfs": ("pointer", "again"),
    b"<!doctype": _PAGE, b"<html": _PAGE, b"<?xml": _PAGE, b"<head": _PAGE,
}
_INDEXES = {  # what texts hold, and how their names end
    (b'"weight_map"', ".index.json"): ("parts_index", "one_file"),
    (b'"_class_name"', "model_index.json"): ("diffusers_index", "one_file"),
}
_PROGRAM = ("constants.pkl", "code/")  # in a zip with TorchScript, which runs while it is loaded
_PREAMBLE = 3  # pickles before the content where no zip is around it: magic number, version, system
_MAX_CONTENTS_BYTES = 16 * 2**20  # ten times those of the largest checkpoints; objects take up to 80 times as much
_MOST_TIMES_UNPACKED, _UNPACKED_ANYWAY_BYTES = 8, 64 * 2**20  # weights that were zipped again are twice their zip
_ITEM_BYTES = {"Double": 8, "Long": 8, "Float": 4, "Int": 4, "Half": 2, "BFloat16": 2, "Short": 2}
_MOST_DICTIONARIES = 10_000
_BROKEN = (  # what reading bytes that are no pickle, or a torn one, may end in
    pickle.PickleError, struct.error, RuntimeError, LookupError, TypeError, ValueError, AttributeError, OSError,
    EOFError, ArithmeticError, AssertionError, ImportError, StopIteration, MemoryError, zipfile.BadZipFile,
)


class _Refused(pickle.UnpicklingError):
    """What a file is refused for though it could be read."""


class _Empty:
    """Stands for an object that nobody asks for: takes whatever the file does with it, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Empty:
        return super().__new__(cls)

    def _ignore(self, *_: Any, **__: Any) -> None:
        return None

    __init__ = __setstate__ = __setitem__ = append = extend = add = _ignore


class _Careful(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if _makes_tensors(module, name) else _stand_in(module, name)


def _makes_tensors(module: str, name: str) -> bool:
    return name in _MAKES_TENSORS.get(module, ()) or (module == "torch" and name.endswith(_STORAGE))


def _stand_in(module: str, name: str) -> type[_Empty]:
    if f"{module}.".startswith(_LEFT_EMPTY) or f"{module}.{name}" in _LEFT_EMPTY_TOO:
        return _Empty
    raise _Refused(text("content.wants", code=f"{module}.{name}"))


class _Shape(tuple[int, ...]):
    """Stands for a tensor."""


class _Contents(pickle.Unpickler):
    """Makes shapes where a file makes tensors; calls nothing of torch."""

    def persistent_load(self, _: Any) -> None:
        return None

    def find_class(self, module: str, name: str) -> Any:
        if not _makes_tensors(module, name):
            return _stand_in(module, name)
        made: dict[str, Any] = {
            "OrderedDict": collections.OrderedDict, "Size": lambda sizes=(): tuple(sizes), "_rebuild_tensor": _shape,
            "_rebuild_tensor_v2": _shape, "_rebuild_parameter": lambda tensor, *_: tensor,
            "_rebuild_from_type_v2": lambda _, __, arguments, *___: _shape(*arguments),
        }
        return made.get(name, _Empty)


class _Claims(_Contents):
    """Notes how many bytes of tensors a file says that it holds, by the keys of their storages."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding=_ENCODING)
        self.claimed: dict[Any, int] = {}

    def persistent_load(self, saved: Any) -> Any:
        if saved[0] == "module":
            return saved[1]
        _, item_bytes, key, _, count, *_ = saved
        self.claimed.setdefault(key, item_bytes * count)
        return None

    def find_class(self, module: str, name: str) -> Any:
        if name.endswith(_STORAGE):
            return _ITEM_BYTES.get(name.removesuffix(_STORAGE), 1)
        return super().find_class(module, name)


def _shape(_storage: Any, _offset: Any, sizes: Any, *_: Any) -> _Shape:
    return _Shape(int(size) for size in sizes)


def load_pickle(path: Path, device: str) -> dict[str, Any]:
    """Name -> tensor, on `device` ("meta": names and shapes alone). Raises `BaseUnsupported`."""
    import torch

    data = read_pickle(path, device)
    try:
        state = data.get("state_dict", data)
        named = ((name, tensor) for name, tensor in state.items() if isinstance(name, str))
        return {name: tensor for name, tensor in named if isinstance(tensor, torch.Tensor)}
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def read_pickle(path: Path, device: str) -> Any:
    """What is in the file, such as a dictionary of dictionaries of tensors, on `device`. Raises `BaseUnsupported`."""
    from torch import serialization

    careful = ModuleType("careful")
    careful.Unpickler = _Careful  # type: ignore[attr-defined]
    careful.load = lambda file, **how: _Careful(file, **how).load()  # type: ignore[attr-defined]
    try:
        _refuse_sizes(path)
        _refuse_program(path)
        # Where it is defined: the WebUI replaces `torch.load` by one that answers None where it has doubts.
        return serialization.load(path, map_location=device, pickle_module=careful, weights_only=False)
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def read_contents(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor; names of nested dictionaries are joined by dots. Reads no tensor, so that it is
    quick at any size, and needs no torch. Raises `BaseUnsupported`."""
    try:
        with opened(path) as file:
            found = _of_zip(file) if file.read(len(_ZIP)) == _ZIP else _of_plain(file)
        return dict(_flat(found, "", iter(range(_MOST_DICTIONARIES))))
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def _of_zip(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        entry = next(entry for entry in archive.infolist() if _is_contents(entry))
        _refuse_long(entry)
        with archive.open(entry) as inner:
            # At once: what is unpacked of it is as long as it says, whatever it asks for.
            return _Contents(io.BytesIO(inner.read(entry.file_size)), encoding=_ENCODING).load()


def _of_plain(file: IO[bytes]) -> Any:
    return _Contents(_after_preamble(file), encoding=_ENCODING).load()


def _after_preamble(file: IO[bytes]) -> io.BytesIO:
    """The contents, no longer than they may be, and what may follow them."""
    file.seek(0)
    begin = io.BytesIO(file.read(_MAX_CONTENTS_BYTES))
    for _ in range(_PREAMBLE):
        _Contents(begin).load()
    return begin


def _refuse_sizes(path: Path) -> None:
    """Raises `_Refused` for what would take far more memory than it is long; what reading it raises, else."""
    with opened(path) as file:
        if file.read(len(_ZIP)) != _ZIP:
            return _refuse_claims(_after_preamble(file), path.stat().st_size)
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    for entry in filter(_is_contents, entries):
        _refuse_long(entry)
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(_UNPACKED_ANYWAY_BYTES, _MOST_TIMES_UNPACKED * path.stat().st_size):
        raise _Refused(text("content.unpacks", times=f"{unpacked / path.stat().st_size:.0f}"))
    return None


def _is_contents(entry: zipfile.ZipInfo) -> bool:
    return entry.filename.lower().endswith("data.pkl")  # torch takes names in any case of letters


def _refuse_long(contents: zipfile.ZipInfo) -> None:
    if contents.file_size > _MAX_CONTENTS_BYTES:
        raise _Refused(text("content.list_unpacks", size=f"{contents.file_size / 1e6:.0f}"))


def _refuse_claims(contents: io.BytesIO, size: int) -> None:
    """Of a file without a zip around it, which holds its tensors behind its contents as they are."""
    claims = _Claims(contents)
    claims.load()
    _Contents(contents).load()  # the order of the tensors
    claimed = sum(claims.claimed.values())
    if claimed > size:
        raise _Refused(text("content.claims", size=f"{claimed / 1e6:.0f}"))


def _flat(found: Any, prefix: str, left: Iterator[int]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """`left`: runs out where so many dictionaries were read: one that stands twice in another, and that twice in a
    third, and so on, is few bytes in a file and has no end."""
    if next(left, None) is None:
        raise ValueError(text("content.dictionaries"))
    for name, value in found.items():
        if isinstance(value, _Shape):
            yield f"{prefix}{name}", tuple(value)
        elif isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.", left)


def other_content(path: Path) -> tuple[str, str]:
    """What a file is that was taken for weights, and the key of what to do; both are empty when it is none of what is
    known here."""
    with opened(path) as file:
        begin = file.read(_LOOKED_AT_BYTES)
    plain = begin.strip().lower()
    if not plain:
        return _told("empty", "again")
    known = (found for mark, found in _BEGIN_OTHERWISE.items() if plain.startswith(mark))
    found = next(known, None)
    return _told(*found) if found else _of_text(begin, path.name)


def _told(content: str, remedy: str, **values: Any) -> tuple[str, str]:
    return text(f"content.{content}", **values), f"remedy.{remedy}"


def _of_text(begin: bytes, name: str) -> tuple[str, str]:
    """The same of what begins with letters alone, such as what sites answer in the place of a file."""
    try:
        words = " ".join(codecs.getincrementaldecoder(_ENCODING)().decode(begin).split())
    except UnicodeDecodeError:
        return "", ""
    if not words.isprintable():
        return "", ""
    indexes = (found for (mark, end), found in _INDEXES.items() if mark in begin or name.endswith(end))
    found = next(indexes, None)
    return _told(*found) if found else _told("words", "again", begin=repr(words[:_SAID_CHARACTERS]))


def _unreadable(path: Path, error: BaseException) -> BaseUnsupported:
    what, remedy = ("", "") if isinstance(error, _Refused) else other_content(path)
    if not what and _is_cut_off(path):
        what, remedy = _told("end", "again")
    said = shorten((str(error).splitlines() or [""])[0], 120, placeholder=" ...")
    cause = what or said or type(error).__name__
    return stated(BaseUnsupported, "base.pickle", remedy or "remedy.safetensors", file=path.name, cause=cause)


def _is_cut_off(path: Path) -> bool:
    """A zip has its contents at its end."""
    with opened(path) as file:
        return file.read(len(_ZIP)) == _ZIP and not zipfile.is_zipfile(path)


def _refuse_program(path: Path) -> None:
    """Raises `UnpicklingError` for TorchScript: `torch.load` would hand it on and take no notice of `pickle_module`.

    Asks the reader that `torch.load` itself decides by: another one may find other names in a crafted zip.
    """
    import torch

    with opened(path) as file:
        if file.read(len(_ZIP)) != _ZIP:
            return
    names: list[str] = torch._C.PyTorchFileReader(str(path)).get_all_records()
    if any(name.lower().startswith(_PROGRAM) for name in names):
        raise _Refused(text("content.program"))
