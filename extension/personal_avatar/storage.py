"""Files that are either old or new, never half written; names that can never leave a folder."""
from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

SPECIAL = "it is no ordinary file, but a pipe, a device or a socket"
_DEVICE = re.compile(r"con|prn|aux|nul|(com|lpt)[0-9]")  # no file of such a name can be made on Windows

_PART = ".part"  # of a file that is being written

_HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair


def plain_suffix(path: Path) -> str:
    """The suffix of a file that somebody gave, as a copy may have it: ".jpg"; "" where it is no plain word."""
    return path.suffix.lower() if re.fullmatch(r"\.[A-Za-z0-9]{1,7}", path.suffix) else ""


def short(name: str, most_bytes: int = 200) -> str:
    """The beginning of a name, all of it where it is not longer: file systems hold names of 255 bytes, and what is put
    before and behind it needs room, too."""
    while len(os.fsencode(name)) > most_bytes:
        name = name[:-1]
    return name


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside the target, flush to the disk, rename over it."""
    with replacing(path) as part:
        part.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write into; at the end it is flushed to the disk and takes the place of `path` for good,
    and when something is raised it is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{_part_of(path)}{uuid.uuid4().hex[:8]}{_PART}")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        rename_over(part, path)
        flush_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def room_beside(part: Path) -> Iterator[Path]:
    """A folder for what is on its way to `part` of `replacing`; at the end it is gone."""
    room = part.with_name(f"{part.stem}-room{_PART}")
    room.mkdir()
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def half_written(path: Path) -> list[Path]:
    """What is left beside `path` of attempts to write it that were killed: files and folders."""
    return sorted(path.parent.glob(f"{glob.escape(_part_of(path))}*{_PART}"))


def is_half_written(path: Path) -> bool:
    """Whether it is one of these, by its name."""
    return path.name.startswith(".") and path.suffix == _PART


def _part_of(path: Path) -> str:
    return f".{short(path.name)}."


def try_to_write(folder: Path) -> None:
    """Make a file in a folder and remove it again. Raises `OSError`."""
    tried = folder / f".{uuid.uuid4().hex}{_PART}"  # no tempfile: on Windows that tries on and on where it may not
    tried.open("xb").close()
    tried.unlink()


def nearest_there(path: Path) -> Path | None:
    """The path itself, or the nearest that is there of those above it, be it a folder, a file, or a link that leads
    nowhere; None where nothing is, as on a drive that Windows does not have."""
    path = path.absolute()
    return next((place for place in (path, *path.parents) if os.path.lexists(place)), None)


def files_below(folder: Path) -> list[Path]:
    """Files in `folder` and below, also in folders that are linked there (each once, so that no link leads round and
    round), in the WebUI's order: folder by folder, numbers by their value. None where there is no such folder."""
    found, seen = {}, set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found[place] = names
    places = sorted(found, key=_by_value)
    return [Path(place, name) for place in places for name in sorted(found[place], key=_by_value)]


def _by_value(name: str) -> list[tuple[int, str]]:
    """Sorts "part 9" before "part 10", and letters without regard to their case."""
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can do that: what was renamed stays so when the power
    fails."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders, and writes names at once
        return
    try:
        os.fsync(handle)
    except OSError:
        return
    finally:
        os.close(handle)


def rename_over(part: Path, path: Path) -> None:
    """Rename over the target; Windows refuses for the moment in which somebody reads it."""
    for _ in range(20):
        try:
            os.replace(part, path)
            return
        except PermissionError:
            if sys.platform != "win32":
                raise
            time.sleep(0.02)
    os.replace(part, path)


def write_json(path: Path, data: Any) -> None:
    """As UTF-8; names of files that are no text (see `writable`) are read again as they were."""
    write_bytes(path, json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))


def is_special(path: Path) -> bool:
    """Whether a pipe, a device or a socket is there, or a link to one: reading it might never end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def opened(path: Path) -> BinaryIO:
    """A file that somebody named, to be read. Raises `OSError`, also where `is_special`."""
    if is_special(path):
        raise OSError(errno.EINVAL, SPECIAL, str(path))
    return path.open("rb")


def state_of(found: os.stat_result) -> tuple[int, ...]:
    """Another one when a file was written anew, or another put in its place, be it one of the same size and with its
    time set back, as `rsync -t` does."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def file_id(path: Path) -> tuple[int, int] | None:
    """The same for a file by all of its names; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's content. Raises as `opened`."""
    digest = hashlib.sha256()
    with opened(path) as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def try_lock(handle: int) -> bool:
    """Lock an open file for this handle alone; False when somebody else has it. Closing the file unlocks it, and the
    system does so when its holder dies."""
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 0, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked(path: Path, limit_s: float = 60.0) -> Iterator[None]:
    """Nobody else, thread or program, holds the lock of this name meanwhile; where the system has no locks, nobody is
    kept out. Raises `TimeoutError` when it is not to be had in time. The file stays: it is nothing but the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        end = time.monotonic() + limit_s
        while not try_lock(file.fileno()) and has_locks(path.parent):
            if time.monotonic() > end:
                raise TimeoutError(f"{path.name} is held by somebody else")
            time.sleep(0.02)
        yield


def has_locks(folder: Path) -> bool:
    """Whether files in this folder can be locked. Raises `OSError` when nothing can be written there."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return try_lock(file.fileno())


def writable(text: str) -> bool:
    """Whether it can be stored as UTF-8: half of a surrogate pair cannot, which JSON may hold, and as which
    bytes of the command line come that are no text."""
    if text.isascii():  # Python knows that of a whole picture in base64 without looking at it
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def legible(text: str) -> str:
    """The same, as every answer and every folder can hold it: `�` in the place of each byte that is no text."""
    return text if writable(text) else _HALF.sub("\ufffd", text)


def slug(name: str) -> str:
    """A file and URL name for any text: ASCII letters, digits and dashes, at most 48; never empty, stable for one text.

    Accents are dropped; a name without Latin letters becomes `avatar-` and eight digits of its hash, one that Windows
    keeps for devices gets `avatar-` before it.
    """
    plain = unicodedata.normalize("NFKD", name.replace("đ", "d").replace("Đ", "D")).encode("ascii", "ignore").decode()
    text = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:48].strip("-")
    if not text:
        return "avatar-" + hashlib.sha256(name.encode("utf-8")).hexdigest()[:8]
    return f"avatar-{text}" if _DEVICE.fullmatch(text) else text
