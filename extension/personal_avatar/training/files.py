"""Writing tensors so that a half-written file is never seen, and names under which no user's file is replaced."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.storage import write_bytes

if TYPE_CHECKING:
    import torch

COMPANIONS = (".safetensors", ".png", ".json")


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file, complete or not there; tensors must be contiguous and on the CPU."""
    from safetensors.torch import save

    write_bytes(path, save(tensors, metadata))


def free_stem(folder: Path, stem: str) -> str:
    """`stem`, or `stem-2`, `stem-3`, ...: the first under which no model, card or preview lies in or below `folder`.

    Folders below count because the WebUI finds networks there by name, too; case does not, as on some disks.
    """
    taken = {path.stem.casefold() for path in folder.rglob("*") if path.suffix in COMPANIONS}
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(name for name in names if name.casefold() not in taken)
