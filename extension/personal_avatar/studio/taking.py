"""Pictures taken along into a folder, with the captions beside them: each is there whole, or not at all."""
from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from personal_avatar.captions.files import CAPTION_SUFFIXES, caption_file, is_caption
from personal_avatar.errors import BadInput
from personal_avatar.problems import stated
from personal_avatar.storage import replacing
from personal_avatar.studio.picking import free

NAMED = 20


def take(files: Sequence[Path], target: Path, move: bool = False, names: Sequence[str] = ()) -> list[Path]:
    """Copy or move files into `target` (made when missing) as 001-name.png, ...; nothing there is overwritten. Of a
    link the picture is taken that it leads to, which stays.

    `names`: what they are called, where that is not the name of the file. Raises `BadInput` when the folder cannot be
    written to or a file is gone or cannot be moved; it names those that were taken.
    """
    done: dict[int, Path] = {}
    every = [*enumerate(zip(files, names or [path.name for path in files], strict=True), start=1)]
    try:
        target.mkdir(parents=True, exist_ok=True)
        for place, (path, name) in sorted(every, key=lambda one: not one[1][0].is_symlink()):  # they may lead to others
            done[place] = _taken(path, target / f"{place:03d}-{Path(name).name}", move)
    except OSError as error:
        named = sorted(path.name for path in done.values())
        told = ", ".join(named[:NAMED]) + (", …" if len(named) > NAMED else "")
        values = {"done": len(done), "count": len(files), "names": told, "folder": target, "cause": error}
        sentence = "failure.some_taken" if done else "failure.none_taken"
        raise stated(BadInput, sentence, "remedy.take", **values) from None
    return [done[place] for place in sorted(done)]


def _taken(path: Path, wanted: Path, move: bool) -> Path:
    caption = caption_file(path)
    place = free(wanted, () if is_caption(path) else CAPTION_SUFFIXES)
    if is_caption(path) or not os.path.isfile(caption):
        (_move if move else _copy)(path, place)
        return place
    beside = place.with_suffix(caption.suffix)
    _copy(caption, beside)
    try:
        (_move if move else _copy)(path, place)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    if move and not _others(path):
        with suppress(OSError):  # the picture is where it was wanted, with its caption
            caption.unlink()
    return place


def _others(path: Path) -> list[Path]:
    """Pictures that share a caption with one that was there."""
    alike = path.parent.glob(f"{glob.escape(path.stem)}.*")
    return [one for one in alike if one.stem == path.stem and not is_caption(one)]


def _move(path: Path, wanted: Path) -> None:
    """All or nothing: what cannot be removed from its place is not copied either."""
    if not path.is_symlink():
        try:
            os.rename(path, wanted)
            return
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
    _copy(path, wanted)
    try:
        path.unlink()
    except OSError:
        wanted.unlink(missing_ok=True)
        raise


def _copy(path: Path, wanted: Path) -> None:
    with replacing(wanted) as part:
        shutil.copyfile(path, part)
    with suppress(OSError):  # not every file system keeps times and rights
        shutil.copystat(path, wanted)
