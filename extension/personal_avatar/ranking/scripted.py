"""Tensors out of a TorchScript archive, such as OpenAI's own files of CLIP, without running the program in it.

The archive is a zip. `data.pkl` holds the modules as objects of classes that only the program inside defines; they are
read as bags of attributes. Only what makes tensors is ever called, everything else is a reason to refuse the file.
"""
from __future__ import annotations

import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import WeightsCorrupt
from personal_avatar.problems import stated

if TYPE_CHECKING:
    import torch

_CONTENTS = "data.pkl"
_PROGRAM = "__torch__"
_MOST_BYTES = 64 * 2**20  # of the contents, without the tensors
_BROKEN = (
    pickle.PickleError, struct.error, LookupError, TypeError, ValueError, AttributeError, OSError, EOFError,
    RuntimeError, MemoryError, RecursionError, zipfile.BadZipFile,
)


class _Module:
    """Stands for a module of the program: keeps its attributes, does nothing."""

    def __init__(self, *_: Any) -> None:
        self.attributes: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = dict(state) if isinstance(state, dict) else {}


def is_scripted(path: Path) -> bool:
    """Whether a file is a zip with a program of TorchScript."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in f"/{name}" for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_scripted(path: Path) -> dict[str, torch.Tensor]:
    """Name -> tensor, as `state_dict()` of the module would give them. Raises `WeightsCorrupt`."""
    try:
        with zipfile.ZipFile(path) as archive:
            entry = next(one for one in archive.infolist() if one.filename.rpartition("/")[2] == _CONTENTS)
            if entry.file_size > _MOST_BYTES:
                raise ValueError("its contents are too long")
            with archive.open(entry) as file:
                found = _Reader(file, archive, entry.filename.removesuffix(_CONTENTS)).load()
        return dict(_tensors(found, ""))
    except (*_BROKEN, StopIteration) as error:
        values = {"file": path.name, "cause": error, "path": path}
        raise stated(WeightsCorrupt, "failure.unreadable_file", "remedy.get_again", **values) from None


class _Reader(pickle.Unpickler):
    def __init__(self, file: Any, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(file)
        self._archive, self._folder = archive, folder
        self._storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == _PROGRAM or module.startswith(f"{_PROGRAM}."):
            return _Module
        made = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor, ("torch._utils", "_rebuild_parameter"): _same,
            ("collections", "OrderedDict"): OrderedDict, ("torch.jit._pickle", "restore_type_tag"): _same,
            **{("torch.jit._pickle", f"build_{kind}list"): _same for kind in ("int", "double", "bool", "tensor")},
        }
        if (module, name) in made:
            return made[module, name]
        if module == "torch" and name.endswith("Storage"):
            return name
        raise pickle.UnpicklingError(f"it wants to run {module}.{name}")

    def persistent_load(self, saved: Any) -> torch.Tensor:
        """A storage as a flat tensor: ("storage", kind, key, device, length)."""
        import torch

        _, kind, key, _, length = saved
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            kinds = {
                "FloatStorage": torch.float32, "HalfStorage": torch.float16, "DoubleStorage": torch.float64,
                "LongStorage": torch.int64, "IntStorage": torch.int32, "BFloat16Storage": torch.bfloat16,
                "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
            }
            empty = torch.zeros(0, dtype=kinds[kind])
            self._storages[key] = torch.frombuffer(data, dtype=kinds[kind], count=length) if length else empty
        return self._storages[key]


def _tensor(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    return storage.as_strided(tuple(size), tuple(stride), offset)


def _same(value: Any, *_: Any) -> Any:
    return value


def _tensors(found: Any, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    import torch

    for name, value in found.attributes.items():
        if isinstance(value, torch.Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
