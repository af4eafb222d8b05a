"""Finished pictures on disk: their records, small versions, files to take along. The use cases are in `gallery`."""
from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.albums.archive import Packed, row_of, write_archive
from personal_avatar.albums.entries import Entry
from personal_avatar.albums.sizes import ORIGINAL, Box, Size, framed, size_named
from personal_avatar.captions.files import OTHER_SUFFIX, SUFFIX
from personal_avatar.domain import Portrait, from_json
from personal_avatar.errors import AvatarError, InvalidSettings, NotFound
from personal_avatar.jobs.events import at_home
from personal_avatar.jobs.kept import ARTIFACTS_FOLDER
from personal_avatar.pictures import (
    EDITED,
    FORMATS,
    GENERATED,
    encoded,
    infotext_of,
    load_picture,
    sealed,
    source_of,
)
from personal_avatar.provenance import SOURCES, marked, source_in
from personal_avatar.reports.contact_sheet import SHEET, contact_sheet, language_here
from personal_avatar.reports.content import Report
from personal_avatar.storage import write_bytes, write_json
from personal_avatar.wording import DEFAULT, text

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

NUMBER = "n"
CAPTIONS = (SUFFIX, OTHER_SUFFIX)
COPIES = (".jpg", ".txt")  # what the WebUI saves beside a picture: a JPEG of a large one, the infotext
THUMBNAILS, THUMBNAIL_PX = "thumbnails", 448
SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
RECORDS = ("portraits.json", "restored.json", "character.json")  # lists beside the pictures


@dataclass(frozen=True)
class Taken:
    """A file to take along. `name` holds no folder; `kind` is one of `pictures.FORMATS`."""

    name: str
    kind: str
    data: bytes

    @property
    def media_type(self) -> str:
        return FORMATS[self.kind]


# -- records


def number_of(record: dict[str, Any], place: int) -> int:
    """A picture's number: its place in the result, until one was deleted; then the records carry their numbers."""
    return int(record.get(NUMBER, place))


def portrait_of(record: dict[str, Any]) -> Portrait:
    """A record as the noun; other jobs than portraits know less of their pictures, or more of the faces in them."""
    found, faces = {"seed": 0, "prompt": "", **record}, record.get("faces", 0)
    return from_json(Portrait, {**found, "faces": len(faces) if isinstance(faces, list) else faces})


def without(event: dict[str, Any], folder: Path, number: int, portrait: Portrait) -> dict[str, Any]:
    """A job's event (its line as data) that does not tell of a picture any more; the others get their numbers.

    `folder`: the job's, which paths in events may be relative to.
    """
    if event["kind"] == "sample" and _shows(folder / at_home(str(event.get("path", "")), folder), portrait):
        return {"at": event["at"], "kind": "log", "message": "A picture was deleted."}
    place = event.get("error") or {} if event["kind"] == "failed" else event
    if isinstance(place.get("result"), dict):
        place["result"] = _shortened(place["result"], number)
    return event


def _shows(path: Path, portrait: Portrait) -> bool:
    return path.resolve() in {one.resolve() for one in (portrait.path, portrait.restored) if one is not None}


def forget_record(folder: Path, number: int) -> None:
    """The same for the lists beside the pictures."""
    for path in (folder / ARTIFACTS_FOLDER / name for name in RECORDS):
        if path.is_file():
            write_json(path, _shortened(json.loads(path.read_text(encoding="utf-8")), number))


def _shortened(document: dict[str, Any], number: int) -> dict[str, Any]:
    """A result without one of its pictures, and without the faces in it, where a list beside the pictures has them."""
    if "images" not in document:
        return document
    images = [{**record, NUMBER: number_of(record, place)} for place, record in enumerate(document["images"])]
    kept = [place for place, record in enumerate(images) if record[NUMBER] != number]
    shorter = {**document, "images": [images[place] for place in kept]}
    if len(document.get("faces") or ()) == len(images):
        shorter["faces"] = [document["faces"][place] for place in kept]
    if "restored" in document:
        shorter["restored"] = sum(record.get("restored") is not None for record in shorter["images"])
    return shorter


def files_of(folder: Path, entry: Entry) -> list[Path]:
    """What belongs to a picture of the run in `folder`: its file with its caption, the restored one, small ones, and of
    a file that the host saved its copies."""
    small = (folder / THUMBNAILS).glob(f"{entry.number:04d}-*.webp")
    named = [path for path in (entry.portrait.path, entry.portrait.restored) if path is not None]
    captions = [path.with_suffix(suffix) for path in named if path.is_relative_to(folder) for suffix in CAPTIONS]
    copies = (copy for path in named if not path.is_relative_to(folder) for copy in copies_of(path))
    return [*named, *(path for path in captions if path.is_file()), *copies, *small]


def copies_of(path: Path) -> list[Path]:
    """What the host saved beside a picture of its own, as far as it is there."""
    return [copy for suffix in COPIES if (copy := path.with_suffix(suffix)) != path and copy.is_file()]


def left_of(pictures: Iterable[Path]) -> list[Path]:
    """Those that are still there, with their copies."""
    found = {one for path in pictures for one in (path, *copies_of(path)) if one.exists()}
    return sorted(found)


# -- small ones


def thumbnail(folder: Path, entry: Entry) -> Path:
    """A WebP of at most `THUMBNAIL_PX` a side, made when it is first asked for and again when the picture has changed.

    Raises `UnreadablePhoto`.
    """
    path = entry.shown
    stamp = path.stat().st_mtime_ns if path.is_file() else 0
    target = folder / THUMBNAILS / f"{entry.number:04d}-{stamp}.webp"
    if not target.is_file():
        from PIL import Image

        small = Image.fromarray(load_picture(path))
        small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
        write_bytes(target, encoded(np.asarray(small), "webp", source=_source(entry, path)))
    return target


# -- taking along


def take(studio: Studio, entry: Entry, size: str, kind: str, restored: bool = True) -> Taken:
    """Raises `NotFound` when the file is gone, `InvalidSettings` for an unknown size or format."""
    wanted, path = size_named(size), entry.shown if restored else entry.portrait.path
    if kind and kind not in FORMATS:
        raise InvalidSettings(f"There is no format {kind!r}.", f"There are {', '.join(FORMATS)}.")
    if not path.is_file():
        raise NotFound("The file of this picture is gone.", "It was moved or deleted after it was made; make it again.")
    own = SUFFIXES.get(path.suffix.lower(), "")
    kind = kind or ("png" if wanted.circle else own or "png")
    if wanted.id == ORIGINAL and kind == own:
        source, data = _source(entry, path), path.read_bytes()
        with_mark = marked(data, source) if source else data
        data = data if with_mark == data else sealed(with_mark, path.name, source)
    else:
        data = _cut(studio, entry, path, wanted, kind)
    return Taken(_name(entry, wanted, kind, path != entry.portrait.path), kind, data)


def _cut(studio: Studio, entry: Entry, path: Path, size: Size, kind: str) -> bytes:
    image = load_picture(path)
    face = None if size.shape is None else face_box(studio, entry, image)
    source = _source(entry, path)
    data = encoded(framed(image, size, face), kind, infotext_of(path), source)
    return sealed(data, path.name, source, path) if source else data


def _source(entry: Entry, path: Path) -> str:
    """What the file of a picture states of its making when it leaves: what it says already; else that a model made it,
    where one did, or changed it, where it was restored here; nothing of a picture that is somebody's own."""
    changed = EDITED if path == entry.portrait.restored else ""
    return source_of(path) or (GENERATED if entry.generated else changed)


def face_box(studio: Studio, entry: Entry, image: np.ndarray) -> Box | None:
    """Box of the face that is most like the avatar, of the largest one where that cannot be told, None without any.

    It is looked for with what the avatar was measured by, which finds drawn faces where they are drawn.
    """
    try:
        avatar = studio.avatars.load(entry.avatar_id) if entry.avatar_id else None
        if avatar is not None and entry.portrait.faces > 1:
            face = studio.rankings.scorer(avatar).face_in(image)
        else:
            face = next(iter(studio.analyser(avatar.recogniser if avatar else "").detect(image)), None)
    except AvatarError:
        return None
    return face.box_px if face else None


def _name(entry: Entry, size: Size, kind: str, restored: bool) -> str:
    words = [f"{entry.number + 1:03d}", entry.job_id[:8], *(["restored"] if restored else [])]
    return "-".join([*words, *([size.id] if size.id != ORIGINAL else [])]) + "." + kind.replace("jpeg", "jpg")


def pack(
    studio: Studio, entries: Sequence[Entry], target: Path, size: str, kind: str,
    on_progress: Callable[[int, int], None] | None, language: str = DEFAULT,
) -> Path:
    """The zip: pictures in the order given, named by their places; whole ones with the version before restoration.
    `language`: of the contact sheets."""
    size_named(size)
    there = [entry for entry in entries if entry.shown.is_file()]
    if not there:
        raise NotFound("There are no pictures to pack.", "Choose some that are there.")

    def files() -> Iterator[tuple[list[Packed], dict[str, Any] | None]]:
        sources: set[str] = set()  # what the files state that are in the archive so far
        sheets = _sheets(there, sources, language_here(language))
        for place, entry in enumerate(there, start=1):
            packed = [Packed(f"{place:03d}{word}", taken.data) for word, taken in _versions(studio, entry, size, kind)]
            said = {source_in(file.data) for file in packed}
            sources |= {source if source in SOURCES else "" for source in said}
            yield packed, row_of(entry, [file.name for file in packed], infotext_of(entry.shown))
            if place % SHEET == 0 or place == len(there):
                yield [next(sheets)], None
            if on_progress is not None:
                on_progress(place, len(there))

    try:
        write_archive(target, files(), all(entry.generated for entry in there))
    except FileNotFoundError:  # a picture, or the zip in the making: whoever deletes takes what may hold it
        raise NotFound("Pictures were deleted while others were packed.", "Pack them again.") from None
    if not all(_is_known(studio, entry) for entry in there):
        target.unlink(missing_ok=True)
        raise NotFound("A picture was deleted while it was packed.", "Pack the others again.")
    return target


def _is_known(studio: Studio, entry: Entry) -> bool:
    """Whether a picture is there, and its run still tells of it: a file that the host saved outlives that."""
    try:
        return entry.shown.is_file() and bool(studio.gallery.entry(entry.job_id, entry.number))
    except NotFound:
        return False


def _versions(studio: Studio, entry: Entry, size: str, kind: str) -> Iterator[tuple[str, Taken]]:
    """(what its name ends with, file): the original, and the restored one where there is one; cut, only the better."""
    if entry.portrait.restored is None or (size == ORIGINAL and entry.portrait.path.is_file()):
        taken = take(studio, entry, size, kind, restored=False)
        yield Path(taken.name).suffix, taken
    if entry.portrait.restored is not None:
        taken = take(studio, entry, size, kind)
        yield "-restored" + Path(taken.name).suffix, taken


def _sheets(entries: Sequence[Entry], sources: set[str], language: str) -> Iterator[Packed]:
    """Contact sheets, of so many pictures each that they can be looked at. `sources`: what their files state."""
    title, rest = ", ".join(dict.fromkeys(entry.title for entry in entries)), iter(entries)
    pages = -(-len(entries) // SHEET)
    for page in range(pages):
        portraits = tuple(entry.portrait for entry in islice(rest, SHEET))
        key = "report.sheet" if pages > 1 else "report.pictures"
        subject = text(key, language, count=len(entries), page=page + 1, pages=pages)
        told = Report(title, subject=subject, portraits=portraits, language=language)
        sheet = contact_sheet(told, first=page * SHEET)
        name = "contact-sheet" + (f"-{page + 1:02d}" if pages > 1 else "") + ".jpg"
        yield Packed(name, encoded(sheet, "jpeg", source=next(iter(sources)) if len(sources) == 1 else EDITED))
