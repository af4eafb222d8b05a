"""Files on their way to another machine: named, measured, cut into pieces, and whole again only when the hash is right.

Names are relative, with slashes, and can never leave the folder that they are meant for. Links do not travel.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from personal_avatar.errors import BadInput, JobDamaged
from personal_avatar.problems import stated
from personal_avatar.storage import sha256_of

PIECE_BYTES = 8 * 2**20
MOST_FILES = 50_000
MOST_BYTES = 200 * 10**9
ARRIVING = ".arriving"


@dataclass(frozen=True)
class Note:
    """A file that travels: `path` relative to where it goes, `size` in bytes, hexadecimal SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Span:
    """A part of a file: `size` bytes from `offset`."""

    path: str
    offset: int
    size: int


@dataclass(frozen=True)
class Piece:
    """The content of a `Span`."""

    path: str
    offset: int
    data: bytes


def inside(folder: Path, name: str) -> Path:
    """The file of that relative name below `folder`; raises `BadInput` for every name that could lead out of it."""
    parts = PurePosixPath(name).parts
    odd = any(character in name for character in "\\:\0") or name != "/".join(parts)
    if odd or not parts or name.startswith("/") or ".." in parts:
        raise stated(BadInput, "failure.odd_name", wanted=repr(name))
    path = folder.joinpath(*parts)
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise stated(BadInput, "failure.outside", wanted=repr(name))
    return path


class Ledger:
    """Notes of files; each is hashed again only when its size or its time has changed."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], str]] = {}

    def note(self, path: Path, name: str) -> Note:
        """Raises `FileNotFoundError` when it is gone."""
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            self._known[path] = known = (stamp, sha256_of(path))
        return Note(name, stat.st_size, known[1])

    def below(self, folder: Path, prefix: str, skip: Callable[[str], bool] = lambda name: False) -> list[Note]:
        """All files below `folder` under `prefix/`, sorted; hidden ones, links and what `skip`s are left out."""
        found = []
        for name in sorted(_names(folder)):
            if skip(name):
                continue
            try:
                found.append(self.note(folder / name, f"{prefix}/{name}"))
            except FileNotFoundError:  # replaced or removed meanwhile
                continue
        return found


def _names(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            path = Path(place, name)
            if not name.startswith(".") and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def refuse_too_much(notes: Iterable[Note]) -> int:
    """The bytes of all; raises `BadInput` when they are more than any job should have."""
    sizes = [note.size for note in notes]
    if len(sizes) > MOST_FILES or sum(sizes) > MOST_BYTES:
        raise stated(
            BadInput, "failure.too_much", "remedy.less", count=len(sizes), gb=f"{sum(sizes) / 1e9:.0f}",
        )
    return sum(sizes)


def batches(notes: Iterable[Note], most_bytes: int = PIECE_BYTES) -> Iterator[list[Span]]:
    """What travels together: small files in one batch, large ones in several, each in the order of its bytes."""
    batch: list[Span] = []
    left = most_bytes
    for note in notes:
        offset = 0
        while True:
            span = Span(note.path, offset, min(left, note.size - offset))
            batch.append(span)
            offset, left = offset + span.size, left - span.size
            if left <= 0:
                yield batch
                batch, left = [], most_bytes
            if offset >= note.size:
                break
    if batch:
        yield batch


def cut(spans: Iterable[Span], place: Callable[[str], Path]) -> list[Piece]:
    """The contents; `place` says where the file of a name lies. A file that became shorter gives less."""
    found = []
    for span in spans:
        with place(span.path).open("rb") as file:
            file.seek(span.offset)
            found.append(Piece(span.path, span.offset, file.read(span.size)))
    return found


class Inbox:
    """Takes pieces in their order; a file is in its place only when it is complete and its hash is right."""

    def __init__(self, place: Callable[[str], Path], notes: Iterable[Note]) -> None:
        self._place = place
        self._expected = {note.path: note for note in notes}
        self._arriving: dict[str, tuple[Path, int, hashlib._Hash]] = {}

    def take(self, pieces: Iterable[Piece]) -> None:
        """Raises `JobDamaged` for what nobody asked for, what is out of order, and wrong hashes."""
        for piece in pieces:
            note = self._expected.get(piece.path)
            part, size, digest = self._arriving.get(piece.path) or self._begin(piece.path)
            if note is None or piece.offset != size or size + len(piece.data) > note.size:
                raise stated(JobDamaged, "failure.out_of_order", file=piece.path)
            with part.open("ab") as file:
                file.write(piece.data)
            digest.update(piece.data)
            self._arriving[piece.path] = (part, size + len(piece.data), digest)
            if size + len(piece.data) == note.size:
                self._finish(note)
            elif not piece.data:
                raise stated(JobDamaged, "failure.on_its_way", file=piece.path)

    def _begin(self, name: str) -> tuple[Path, int, hashlib._Hash]:
        target = self._place(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.with_name(f".{uuid.uuid4().hex[:12]}{ARRIVING}"), 0, hashlib.sha256()

    def _finish(self, note: Note) -> None:
        part, _, digest = self._arriving.pop(note.path)
        if digest.hexdigest() != note.sha256:
            part.unlink(missing_ok=True)
            raise stated(JobDamaged, "failure.on_its_way", file=note.path)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, self._place(note.path))

    def drop(self) -> None:
        """Remove what has arrived in part only."""
        arriving, self._arriving = self._arriving, {}
        for part, _, _ in list(arriving.values()):
            part.unlink(missing_ok=True)
