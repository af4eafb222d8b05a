"""Files that a browser gave -> photos in its draft's folder: which are taken, and under which names."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from personal_avatar.captions.files import copy_with_caption
from personal_avatar.errors import InvalidSettings, NotFound, WrongState
from personal_avatar.photos.read import Limits
from personal_avatar.storage import legible, sha256_of
from personal_avatar.studio import MAX_PHOTOS, pictures_in
from personal_avatar.ui.refusal import Refusal

MOST_MB = Limits().file_bytes // 1_000_000


def chosen(files: list[Path], folder: str) -> list[Path]:
    """Uploaded files and the pictures in a named folder. Raises `NotFound` when there is no such folder."""
    found = list(files)
    if folder.strip():
        path = Path(folder.strip().strip('"')).expanduser()
        if not path.is_dir():
            raise Refusal(NotFound, "nofolder", said="failure.no_such_folder", folder=folder.strip())
        found += pictures_in([path])
    return found


def by_size(files: list[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """What a check takes, and the names of what is too large to be read, hashed or copied."""
    large = [path for path in files if path.stat().st_size > Limits().file_bytes]
    return [path for path in files if path not in large], tuple(path.name for path in large)


def distinct(photos: list[Path]) -> list[Path]:
    """Each content once. Raises `WrongState` for an empty file, an upload that has not arrived; `InvalidSettings` as
    soon as there are too many."""
    found: dict[str, Path] = {}
    for photo in photos:
        if photo.stat().st_size == 0:
            raise Refusal(WrongState, "notarrived", name=photo.name)
        found.setdefault(sha256_of(photo), photo)
        if len(found) > MAX_PHOTOS:
            raise Refusal(InvalidSettings, "toomany", said="refusal.manyphotos", n=len(photos), most=MAX_PHOTOS)
    return list(found.values())


def copied(photos: Sequence[Path], target: Path) -> tuple[Path, ...]:
    """Copies with their captions in the folder `target`, in place of what was there, under the names they had, legible;
    a name that comes twice gets a number, also where only the suffix differs: a caption belongs to one photo."""
    fresh = target.with_name(f"{target.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    names: dict[str, str] = {}
    for photo in photos:
        own, number = legible(photo.stem), 2  # the page hands names out and takes them back
        stem = own
        while stem in names:
            stem, number = f"{own}-{number}", number + 1
        names[stem] = f"{stem}{photo.suffix}"
        copy_with_caption(photo, fresh / names[stem])
    shutil.rmtree(target, ignore_errors=True)
    fresh.rename(target)
    return tuple(target / name for name in names.values())
