"""Files and folders that are to be gone: what could not be removed is told, and what they are found by goes last."""
from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from personal_avatar.storage import is_half_written, write_bytes

# What is published beside a LoRA, an embedding or a checkpoint: pictures, card, configuration.
COMPANIONS = (".png", ".preview.png", ".json", ".yaml")


def companions(file: Path) -> list[Path]:
    """Names of what may have been published beside a trained file."""
    return [path for suffix in COMPANIONS if (path := file.with_suffix(suffix)) != file]


def erase_trained(file: Path) -> list[Path]:
    """Remove what was trained, with what was published beside it; the file itself, by which the others are found, only
    when none of them is left. Returns all that is left."""
    left = [path for path in companions(file) if not _unlinked(path)]
    if left or not (erased if is_half_written(file) else _unlinked)(file):
        left.append(file)
    return left


def erase_folder(folder: Path, last: str, others: Iterable[Path] = ()) -> list[Path]:
    """Remove a folder; the file `last`, by which it is found, only when nothing else of it is left, nor `others`.
    Returns all that is left."""
    left = [*others, *(path for path in folder.iterdir() if path.name != last and not erased(path))]
    if left:
        return left
    told = b""
    with suppress(OSError):
        told = (folder / last).read_bytes()
    if erased(folder):
        return []
    if not (folder / last).exists():  # the system does not let go of the empty folder: it can be found, too
        write_bytes(folder / last, told)
    return [folder]


def erased(path: Path) -> bool:
    """Remove a file, or a folder with all that can be removed of it; whether nothing is left."""
    if path.is_symlink() or not path.is_dir():
        return _unlinked(path)
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True
