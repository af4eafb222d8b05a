"""Files that a browser gave -> photos in its draft's folder: which are taken, and under which names."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from personal_avatar.captions.files import copy_with_caption, is_caption
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
    """The photos as they lie in the folder `target`: those that lie there already stay as they are, of the others there
    are copies with their captions, under the names they had, legible; a name that is taken gets a number, also where
    only the suffix or the case differs: a caption belongs to one photo."""
    target.mkdir(parents=True, exist_ok=True)
    taken = {_plain(path.stem) for path in target.iterdir()}
    laid_out = []
    for photo in photos:
        if photo.parent != target:
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
    """Nothing stays in a folder but these photos and their captions; what cannot be erased now goes another time."""
    here = [photo for photo in photos if photo.parent == folder]
    names, stems = {_plain(photo.name) for photo in here}, {_plain(photo.stem) for photo in here}
    for path in folder.glob("*"):
        if _plain(path.name) not in names and not (is_caption(path) and _plain(path.stem) in stems):
            with suppress(OSError):
                path.unlink()


def _plain(name: str) -> str:
    """Equal for names that one system or another takes for the same."""
    return unicodedata.normalize("NFC", name).casefold()
