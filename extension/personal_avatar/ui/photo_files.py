"""Files that a browser gave -> photos in its draft's folder: which are taken, and under which names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from personal_avatar.captions.files import copy_with_caption, is_caption
from personal_avatar.errors import InvalidSettings, NotFound, WrongState
from personal_avatar.jobs.places import Places
from personal_avatar.photos.read import Limits
from personal_avatar.storage import file_id, legible, sha256_of
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
    """The photos as they lie in the folder `target`: those that lie there already stay as they are, of the others there
    are copies with their captions, under the names they had, legible; a name that is taken gets a number, also where
    only the suffix or the case differs: a caption belongs to one photo."""
    target.mkdir(parents=True, exist_ok=True)
    taken = {_plain(path.stem) for path in target.iterdir()}
    laid_out = []
    for photo in photos:
        if _lies_in(target, photo):
            photo = target / photo.name
        else:
            own, number = legible(photo.stem), 2  # the page hands names out and takes them back
            stem = own
            while _plain(stem) in taken:
                stem, number = f"{own}-{number}", number + 1
            taken.add(_plain(stem))
            place = target / f"{stem}{photo.suffix}"
            copy_with_caption(photo, place)
            photo = place
        laid_out.append(photo)
    return tuple(laid_out)


def tidy(folder: Path, photos: Collection[Path]) -> None:
    """Nothing stays in a folder but these photos, whatever they are called here, and their captions. What cannot be
    erased now goes another time, as does everything while one of the photos is not where it is said to be."""
    if not all(map(os.path.isfile, photos)):
        return
    names = {_plain(photo.name) for photo in photos if _lies_in(folder, photo)}
    files = {file_id(photo) for photo in photos}
    here = [*folder.glob("*")]
    wanted = {path for path in here if _plain(path.name) in names or file_id(path) in files}
    stems = {_plain(path.stem) for path in wanted}
    for path in here:
        if path not in wanted and not (is_caption(path) and _plain(path.stem) in stems):
            with suppress(OSError):
                path.unlink()


def homed(stored: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A draft as it was stored, its photos as they lie in its present `folder` of photos: that may have been reached by
    another name then, or copied or moved since, and the photos of the original are not ours."""
    lying = {_plain(path.name): path for path in folder.glob("*")}
    pairs = []
    for told in stored.get("photos", ()):
        if name := _name_in(folder, str(told)):
            here = folder / name
            pairs.append((str(told), str(here if here.exists() else lying.get(_plain(name), here))))
    moved = Places(tuple((told, here) for told, here in pairs if told != here))
    return {name: moved.there(value) for name, value in stored.items()}


def _name_in(folder: Path, told: str) -> str:
    """What a photo is called that lay in the folder of the same draft; "" where it lay elsewhere."""
    kinds: tuple[type[PurePath], ...] = (PurePosixPath, PureWindowsPath)
    return next((path.name for path in (kind(told) for kind in kinds) if path.parts[-4:-1] == folder.parts[-3:]), "")


def _lies_in(folder: Path, photo: Path) -> bool:
    there = file_id(photo.parent)
    return photo.parent == folder or (there is not None and there == file_id(folder))


def _plain(name: str) -> str:
    """Equal for names that one system or another takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()
