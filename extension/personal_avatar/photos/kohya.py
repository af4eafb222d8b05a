"""Datasets of kohya's trainers as photos: `<repeats>_<words>/picture.png`, captions beside them, masks of their names.

    <folder>/10_sks woman/a.png + a.txt        the folder that is trained (`--train_data_dir <folder>`)
    <folder>/masks/a.png                       or beside it: <folder>/../masks/a.png (`--conditioning_data_dir`)

Our own datasets are such folders, too (dataset.py), so what was prepared once can be read again.
"""
from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from personal_avatar.errors import UnreadablePhoto
from personal_avatar.photos.dataset import MASKS
from personal_avatar.problems import stated
from personal_avatar.storage import sha256_of, write_json

MOST_REPEATS = 1000
NOTES = "origins.json"
_FOLDER = re.compile(r"([1-9][0-9]{0,3})_(.+)")
_KEPT = re.compile(r"[0-9a-f]{16}")
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True)
class Origin:
    """What a kohya dataset says of a picture besides its caption: how often it is shown in an epoch, the words of its
    folder, and a grey picture that is white where the loss counts."""

    repeats: int = 1
    words: str = ""
    mask: Path | None = None


def folders_in(folder: Path) -> list[Path]:
    """Folders of pictures inside `folder`, or inside its `images`, by name; empty when it is no such dataset."""
    for place in (folder, folder / "images"):
        found = sorted(child for child in place.glob("*_*") if child.is_dir() and _named(child.name))
        if found:
            return found
    return []


def origins(photos: Iterable[Path]) -> dict[str, Origin]:
    """By SHA-256, of those photos that lie in such a folder; files that cannot be read are left out."""
    found = {}
    for photo in photos:
        named = _named(photo.parent.name)
        if named is not None and photo.is_file():
            found[sha256_of(photo)] = Origin(int(named[1]), named[2], _mask_of(photo))
    return found


def keep(found: Mapping[str, Origin], folder: Path) -> str:
    """Copy what `origins` found into a folder in `folder`, beside what is kept of other datasets; returns its name,
    which is made of all that it holds. Of nothing there is a name, and no folder."""
    notes = {
        sha256: {"repeats": origin.repeats, "words": origin.words, "mask": _copied_name(origin)}
        for sha256, origin in found.items()
    }
    name = hashlib.sha256(json.dumps(notes, sort_keys=True).encode("utf-8", "backslashreplace")).hexdigest()[:16]
    if found:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for sha256, origin in found.items():
            if origin.mask is not None:
                shutil.copyfile(origin.mask, folder / name / str(notes[sha256]["mask"]))
        write_json(folder / name / NOTES, notes)
    return name


def drop(folder: Path, but: Collection[str]) -> None:
    """Erase what `keep` left in `folder`, but what has these names; "" is what earlier versions left there directly.
    Nothing else goes, wherever the folder may lead."""
    for path in list(folder.glob("*")):
        if _KEPT.fullmatch(path.name) and path.name not in but and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    if "" not in but:
        masks = [origin.mask for origin in kept(folder).values() if origin.mask and origin.mask.parent == folder]
        for path in (*masks, folder / NOTES):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # it is not empty, or was never there
        folder.rmdir()


def kept(folder: Path) -> dict[str, Origin]:
    """What `keep` left in `folder`, which is the one that it named; empty where it left nothing."""
    try:
        notes = json.loads((folder / NOTES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {
        sha256: Origin(int(note["repeats"]), note["words"], folder / note["mask"] if note["mask"] else None)
        for sha256, note in notes.items()
    }


def mask_pixels(origin: Origin, size_px: tuple[int, int]) -> np.ndarray | None:
    """uint8 (height, width) of the picture's (width, height); None without a mask. Raises `UnreadablePhoto`."""
    if origin.mask is None:
        return None
    try:
        with Image.open(origin.mask) as opened:
            grey = opened.convert("L")
            return np.asarray(grey if grey.size == size_px else grey.resize(size_px, Image.Resampling.BILINEAR))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise stated(
            UnreadablePhoto, "failure.unreadable_mask", "remedy.remove", file=origin.mask.name, cause=error,
        ) from error


def repeated(origin: Origin, times: int) -> int:
    """How often a picture is shown in an epoch, with the setting that holds for all."""
    return min(MOST_REPEATS, origin.repeats * times)


def _named(name: str) -> re.Match[str] | None:
    found = _FOLDER.fullmatch(name)
    return found if found is not None and int(found[1]) <= MOST_REPEATS else None


def _copied_name(origin: Origin) -> str | None:
    """Of a mask, by what it shows."""
    return None if origin.mask is None else f"{sha256_of(origin.mask)[:16]}{origin.mask.suffix.lower()}"


def _mask_of(photo: Path) -> Path | None:
    root, inside = photo.parent.parent, photo.parent.name
    places = [top / MASKS / below for top in (root, root.parent) for below in ("", inside)]
    files = (place / f"{photo.stem}{suffix}" for place in places for suffix in _SUFFIXES)
    return next((file for file in files if file.is_file()), None)
