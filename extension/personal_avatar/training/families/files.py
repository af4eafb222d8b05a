"""Reading the files of checkpoints and VAEs: names and shapes alone, or the tensors; never code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import BaseNotFound, BaseUnsupported
from personal_avatar.networks import header_of
from personal_avatar.training.families.pickles import load_pickle as load_pickle

if TYPE_CHECKING:
    import torch

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, "torch.Tensor"]

_AGAIN = "Download it again."


def read_shapes(path: Path) -> Shapes:
    """Name -> shape of every tensor of a checkpoint. Raises `BaseNotFound`, `BaseUnsupported`."""
    _must_exist(path)
    return _header_shapes(path) if path.suffix == ".safetensors" else _pickle_shapes(path)


def read_weights(path: Path) -> Weights:
    """All tensors, on the CPU, as they are stored. Raises `BaseNotFound`, `BaseUnsupported`."""
    _must_exist(path)
    if path.suffix != ".safetensors":
        return load_pickle(path, "cpu")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise BaseUnsupported(f"{path.name} is not a readable safetensors file ({error}).", _AGAIN) from None


def read_some(path: Path, names: list[str]) -> Weights:
    """Some tensors of a checkpoint, as they are stored. Raises `KeyError` for a name that is not there."""
    from safetensors import safe_open

    if path.suffix != ".safetensors":
        stored = load_pickle(path, "cpu")
        return {name: stored[name] for name in names}
    with safe_open(str(path), "pt") as file:
        known = set(file.keys())
        missing = [name for name in names if name not in known]
        if missing:
            raise KeyError(missing[0])
        return {name: file.get_tensor(name) for name in names}


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise BaseNotFound(f"There is no checkpoint at {path}.")


def _header_shapes(path: Path) -> Shapes:
    try:
        return dict(header_of(path).shapes)
    except ValueError as error:
        raise BaseUnsupported(f"{path.name} is not a readable safetensors file ({error}).", _AGAIN) from None


def _pickle_shapes(path: Path) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in load_pickle(path, "meta").items()}
