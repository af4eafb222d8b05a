"""Files and folders that are to be gone: what could not be removed is told, and what they are found by goes last.

Links are removed, and what they lead to only where that is known to be what is to be gone.
"""
from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path

from personal_avatar.storage import is_half_written, sha256_of, write_bytes

# What is published beside a LoRA, an embedding or a checkpoint: pictures, card, configuration.
COMPANIONS = (".png", ".preview.png", ".json", ".yaml")


def companions(file: Path) -> list[Path]:
    """Names of what may have been published beside a trained file."""
    return [path for suffix in COMPANIONS if (path := file.with_suffix(suffix)) != file]


def erase_trained(file: Path, contents: Collection[str] = ()) -> list[Path]:
    """Remove what was trained, with what was published beside it; the file itself, by which the others are found, only
    when none of them is left. `contents`: where a link leads to a file with one of these SHA-256, that file goes with
    what links lead to of what lies beside it. Returns all that is left."""
    known = [led_to(file)] if contents and file.is_symlink() and _has_one_of(contents, file) else []
    beside = [path for target in known for path in companions(target)]
    left = [path for path in companions(file) if not _gone(path, beside)]
    if left or not (erased(file) if is_half_written(file) else _gone(file, known)):
        left.append(file)
    return left


def _has_one_of(contents: Collection[str], file: Path) -> bool:
    try:
        return sha256_of(file) in contents
    except OSError:
        return False


def _gone(path: Path, known: Collection[Path]) -> bool:
    """Remove a file; what a link leads to before it, where that is one of the `known`."""
    target = led_to(path)
    return (not path.is_symlink() or target not in known or _unlinked(target)) and _unlinked(path)


def led_to(path: Path) -> Path:
    """The path without links; a link that leads to itself stays."""
    return Path(os.path.realpath(path))


def links_at(path: Path) -> list[Path]:
    """The path, where it is a link, and the links below it; into those that are folders nobody looks."""
    below = (Path(place, name) for place, folders, names in os.walk(path) for name in (*folders, *names))
    return [one for one in (path, *below) if one.is_symlink()]


def erased(path: Path) -> bool:
    """Remove a file, or a folder with all that can be removed of it; whether nothing is left."""
    if path.is_symlink() or not path.is_dir():
        return _unlinked(path)
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def erase_folder(
    folder: Path, last: str, others: Iterable[Path] = (), erase: Callable[[Path], bool] = erased
) -> list[Path]:
    """Remove a folder, or the one that a link leads to; the file `last`, by which it is found, only when nothing else
    of it is left, nor `others`. `erase`: what is in it; whether nothing that has to go is left. Returns all that is
    left."""
    target = led_to(folder) if folder.is_symlink() else None
    left = [*others, *(path for path in folder.iterdir() if path.name != last and not erase(path))]
    if left:
        return left
    told = b""
    with suppress(OSError):
        told = (folder / last).read_bytes()
    if (target is None or _unlinked(folder / last)) and erased(folder):
        if target is not None:
            drop_empty(target)
        return []
    if not (folder / last).exists():  # the system does not let go of the empty folder: it can be found, too
        write_bytes(folder / last, told)
    return [folder]


def drop_empty(folder: Path) -> None:
    """Remove a folder in which nothing is left."""
    with suppress(OSError):  # it holds something of somebody else's, or a disk begins there
        folder.rmdir()


def _unlinked(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return True
