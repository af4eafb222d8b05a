"""Writing tensors so that a half-written file is never seen, and names under which no user's file is replaced."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import NotWritable, SelfTestFailed
from personal_avatar.naming import first_line, named
from personal_avatar.networks import alias_of
from personal_avatar.problems import stated
from personal_avatar.storage import files_below, rename_over, replacing, room_beside

if TYPE_CHECKING:
    import torch

SAID = 3  # names in a sentence
READ_WRITE = 0o666  # of whoever may


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], metadata: dict[str, str] | None = None) -> None:
    """A safetensors file, complete or not there, for whom the folder is; tensors must be contiguous and on the CPU, and
    share no memory. Raises `NotWritable`.

    The library begins under a name of its own choice, for nobody else to read: so it gets a folder, by whose name what
    a process left that was killed is found.
    """
    from safetensors.torch import save_file

    with replacing(path) as part, room_beside(part) as room:
        try:
            written = room / part.name  # hosts look for models in hidden folders, too
            save_file(tensors, written, metadata)
            written.chmod(room.stat().st_mode & READ_WRITE)
            rename_over(written, part)
        except Exception as error:
            if isinstance(named(error), NotWritable):
                raise stated(NotWritable, "failure.unwritable", place=path, cause=first_line(error)) from error
            raise


def refuse_infinite(path: Path, read: Mapping[str, torch.Tensor]) -> None:
    """Raises `SelfTestFailed` when `read`, what the file holds, is not all numbers: half precision ends at 65504."""
    wrong = [name for name, tensor in read.items() if not bool(tensor.isfinite().all())]
    if wrong:
        raise stated(SelfTestFailed, "failure.no_numbers", tensors=", ".join(wrong[:SAID]), file=path.name)


def free_stem(folder: Path, stem: str, *others: Path, of_lora: bool) -> str:
    """`stem`, or `stem-2`, `stem-3`, ...: the first that nothing in or below `folder` and `others` has before its first
    dot, nor, `of_lora`, calls itself: no other model is found by that.

    Folders below count because the WebUI finds models there by name, too; case does not, as on some disks. Headers,
    which take long where there are thousands, are read for names that no file has, until one calls itself so.
    """
    files = [path for place in (folder, *others) for path in files_below(place)]
    aliases = (alias_of(path).casefold() for path in files if of_lora and path.suffix.lower() == ".safetensors")
    taken = {path.name.split(".")[0].casefold() for path in files}
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(name for name in names if not _has(name.casefold(), taken, aliases))


def _has(name: str, taken: set[str], more: Iterator[str]) -> bool:
    """Whether `name` is `taken`, or comes in `more`, from which is taken over what was asked for."""
    while name not in taken:
        another = next(more, None)
        if another is None:
            return False
        taken.add(another)
    return True
