"""The folder of an avatar, of which parts may have been moved to another disk, with links in their places: there, too,
goes what is ours, and nothing else."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from personal_avatar.captions.files import caption_file
from personal_avatar.erasure import drop_empty, erase_folder, erased, led_to
from personal_avatar.storage import sha256_of

PHOTOS = "photos"
DATASET = "dataset"  # the folder of an avatar in which its photos lie as they are trained on
_COPY = re.compile(r"\d+-([0-9a-f]{12})(-\d+)?(\.\w+)?")  # a photo named by its place and content


def erase_avatar(folder: Path, last: str, others: Iterable[Path], is_shared: Callable[[Path], bool]) -> list[Path]:
    """See `erase_folder`. `is_shared`: of a link, whether what it leads to is somebody else's, too, and stays;
    of the folder in which all of them lie, too."""
    from personal_avatar.training.planning.plan import ENLARGED, ORIGINS

    if is_shared(folder.parent):
        return [*others]
    if folder.is_symlink() and is_shared(folder):
        return [*others] or ([] if erased(folder) else [folder])
    ours = (PHOTOS, f"{PHOTOS}.new", DATASET, "cache", "portraits", ENLARGED, ORIGINS)
    is_moved = folder.is_symlink()

    def erase(path: Path) -> bool:
        if is_moved and path.name not in ours:
            return True
        follows = path.name == PHOTOS and path.is_symlink() and not is_shared(path)
        return _erased_photos(path) if follows else erased(path)

    return erase_folder(folder, last, others, erase)


def _erased_photos(link: Path) -> bool:
    """Of a folder of photos that is linked, what was copied there, with its captions."""
    target = led_to(link)
    photos = [path for path in target.glob("*") if _is_copy(path)]
    done = [erased(path) for photo in photos for path in (caption_file(photo), photo)]
    if not all(done):
        return False
    drop_empty(target)
    return erased(link)


def _is_copy(path: Path) -> bool:
    """Whether its name tells its content, as no name does that somebody gave."""
    named = _COPY.fullmatch(path.name)
    try:
        return named is not None and not path.is_symlink() and sha256_of(path).startswith(named[1])
    except OSError:
        return False
