"""Room for a dataset in a folder that somebody named: only what an earlier dataset of ours left there goes.

What is ours is said by its manifest, and by a note while one is being made, so that what was interrupted can be
repeated. Photos that would be replaced, and files of others where pictures and masks are looked for, are refused.
"""
from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from personal_avatar.captions.files import caption_file
from personal_avatar.domain import Dataset, PhotoReport
from personal_avatar.errors import NotFound
from personal_avatar.photos.dataset import HELD_OUT, IMAGES, MANIFEST, MASKS, described
from personal_avatar.photos.kohya import Origin
from personal_avatar.problems import refused
from personal_avatar.storage import write_json

UNFINISHED = "unfinished.json"
PARTS = (IMAGES, MASKS, HELD_OUT)
_SYSTEMS_OWN = ("Thumbs.db", "desktop.ini")  # as any file with a dot before its name: no trainer reads them


def refuse_what_is_not_ours(folder: Path, report: PhotoReport, origins: Mapping[str, Origin]) -> None:
    """Raise `InvalidSettings` when a photo, a caption or a mask lies where the dataset of `folder` will, or anything
    else that no dataset of ours left there."""
    for source in _sources(report, origins):
        if _is_inside(source, [folder / part for part in PARTS]):
            raise refused("problem.source_replaced", "remedy.free_folder", file=source, folder=folder)
    known = _known(folder)
    strangers = (name for name in (*_notes(folder), *_files(folder)) if not _is_ours(folder, name, known))
    if (name := next(strangers, None)) is not None:
        raise refused("problem.not_prepared", "remedy.free_folder", folder=folder, file=name)


def begin(dataset: Dataset) -> None:
    """Remove the earlier dataset of ours; what will be written is noted before it is."""
    folder = dataset.folder
    earlier = _known(folder)
    left = [folder / name for name in _files(folder) if name in earlier or _is_cache(name, earlier)]
    write_json(folder / UNFINISHED, {"unfinished": sorted({*earlier, *_written(dataset)})})
    (folder / MANIFEST).unlink(missing_ok=True)
    for file in left:
        file.unlink(missing_ok=True)
    for place in sorted({place for file in left for place in file.parents if folder in place.parents}, reverse=True):
        with suppress(OSError):  # it is not empty
            place.rmdir()


def finish(dataset: Dataset) -> None:
    """Its manifest is written."""
    (dataset.folder / UNFINISHED).unlink(missing_ok=True)


def _sources(report: PhotoReport, origins: Mapping[str, Origin]) -> Iterator[Path]:
    for verdict in report.photos:
        yield verdict.path
        yield caption_file(verdict.path)
    for origin in origins.values():
        if origin.mask is not None:
            yield origin.mask


def _is_inside(file: Path, places: Iterable[Path]) -> bool:
    """Whether the file, or the link that is in its place, lies in one of the folders."""
    there = [place for place in places if place.exists()]
    above = {*file.resolve().parents, file.parent.resolve(), *file.parent.resolve().parents}
    return any(parent.exists() and parent.samefile(place) for place in there for parent in above)


def _notes(folder: Path) -> Iterator[str]:
    """Those that are none of ours."""
    if os.path.lexists(folder / MANIFEST) and _manifest(folder) is None:
        yield MANIFEST
    if os.path.lexists(folder / UNFINISHED) and _unfinished(folder) is None:
        yield UNFINISHED


def _files(folder: Path) -> Iterator[str]:
    """Names in the parts of a dataset, as its manifest has them; a link to a folder counts as a file."""
    for part in PARTS:
        if os.path.lexists(folder / part) and not (folder / part).is_dir():
            yield part
        for place, folders, names in os.walk(folder / part):
            for name in sorted((*names, *(one for one in folders if Path(place, one).is_symlink()))):
                if not (name.startswith(".") or name in _SYSTEMS_OWN):
                    yield Path(place, name).relative_to(folder).as_posix()


def _is_ours(folder: Path, name: str, known: Mapping[str, str | None]) -> bool:
    """A caption that no longer says what was written is of whoever changed it."""
    file = folder / name
    if _is_cache(name, known):
        return True
    if name not in known or file.is_symlink():
        return False
    caption = known[name]
    try:
        return caption is None or file.read_text(encoding="utf-8").strip() == caption.strip()
    except (OSError, ValueError):
        return False


def _is_cache(name: str, known: Iterable[str]) -> bool:
    """Latents that sd-scripts keep beside a picture of ours: of what it was."""
    pictures = (stem for stem, ending in map(os.path.splitext, known) if ending)
    return name.endswith(".npz") and any(name.startswith(picture) for picture in pictures)


def _known(folder: Path) -> dict[str, str | None]:
    """Names of what an earlier dataset, finished or not, wrote to its folder; the text of captions, where known."""
    known: dict[str, str | None] = dict.fromkeys(_unfinished(folder) or ())
    found = _manifest(folder)
    return known if found is None else {**known, **_written(found)}


def _written(dataset: Dataset) -> dict[str, str | None]:
    written: dict[str, str | None] = {}
    for sample in (*dataset.samples, *dataset.held_out):
        written[sample.image.as_posix()] = None
        written[sample.image.with_suffix(".txt").as_posix()] = sample.caption
        if sample.mask is not None:
            written[sample.mask.as_posix()] = None
    return written


def _manifest(folder: Path) -> Dataset | None:
    try:
        return described(folder)
    except NotFound:
        return None


def _unfinished(folder: Path) -> list[str] | None:
    try:
        names = json.loads((folder / UNFINISHED).read_text(encoding="utf-8"))["unfinished"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
