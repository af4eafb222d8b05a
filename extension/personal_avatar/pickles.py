"""Tensors out of pickled checkpoints (.ckpt, .pt) without running what may be written in them.

Only what makes tensors is ever called. Old checkpoints also carry the state of the program that trained them; objects
of the known kinds are read as empty ones. Everything else in a file is a reason to refuse it.
"""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

from personal_avatar.errors import BaseUnsupported

_MAKES_TENSORS = {
    "collections": {"OrderedDict"},
    "torch": {"Size", "device", "float16", "float32", "float64", "bfloat16", "int32", "int64", "uint8", "bool"},
    "torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"},
    "torch.nn.parameter": {"Parameter"},
    "torch._tensor": {"_rebuild_from_type_v2"},
    "torch.serialization": {"_get_layout"},
}
_LEFT_EMPTY = ("pytorch_lightning.", "lightning.", "lightning_fabric.", "omegaconf.", "numpy.", "argparse.", "_codecs.")
_STORAGE = "Storage"
_ZIP = b"PK\x03\x04"
_PROGRAM = ("constants.pkl", "code/")  # in a zip with TorchScript, which runs while it is loaded
_BROKEN = (  # what reading bytes that are no pickle, or a torn one, may end in
    pickle.PickleError, struct.error, RuntimeError, LookupError, TypeError, ValueError, AttributeError, OSError,
    EOFError, ArithmeticError, AssertionError, ImportError,
)


class _Empty:
    """Stands for an object that nobody asks for: takes whatever the file does with it, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Empty:
        return super().__new__(cls)

    def _ignore(self, *_: Any, **__: Any) -> None:
        return None

    __init__ = __setstate__ = __setitem__ = append = extend = add = _ignore


class _Careful(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if name in _MAKES_TENSORS.get(module, ()) or (module == "torch" and name.endswith(_STORAGE)):
            return super().find_class(module, name)
        if f"{module}.".startswith(_LEFT_EMPTY):
            return _Empty
        raise pickle.UnpicklingError(f"it wants to run {module}.{name}")


def load_pickle(path: Path, device: str) -> dict[str, Any]:
    """Name -> tensor, on `device` ("meta": names and shapes alone). Raises `BaseUnsupported`."""
    import torch

    data = read_pickle(path, device)
    try:
        state = data.get("state_dict", data)
        return {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def read_pickle(path: Path, device: str) -> Any:
    """What is in the file, such as a dictionary of dictionaries of tensors, on `device`. Raises `BaseUnsupported`."""
    import torch

    careful = ModuleType("careful")
    careful.Unpickler = _Careful  # type: ignore[attr-defined]
    careful.load = lambda file, **how: _Careful(file, **how).load()  # type: ignore[attr-defined]
    try:
        _refuse_program(path)
        return torch.load(path, map_location=device, pickle_module=careful, weights_only=False)
    except _BROKEN as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: BaseException) -> BaseUnsupported:
    why = (str(error).splitlines() or [""])[0][:120] or type(error).__name__
    return BaseUnsupported(
        f"{path.name} cannot be read as plain tensors ({why}).", "Convert it to safetensors and choose that file."
    )


def _refuse_program(path: Path) -> None:
    """Raises `UnpicklingError` for TorchScript: `torch.load` would hand it on and take no notice of `pickle_module`.

    Asks the reader that `torch.load` itself decides by: another one may find other names in a crafted zip.
    """
    import torch

    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            return
    names: list[str] = torch._C.PyTorchFileReader(str(path)).get_all_records()
    if any(name.lower().startswith(_PROGRAM) for name in names):
        raise pickle.UnpicklingError("it is a TorchScript program")
