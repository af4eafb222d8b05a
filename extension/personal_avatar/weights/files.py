"""Files that are either whole and verified, or not there."""
from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO

from personal_avatar import storage
from personal_avatar.errors import WeightsCorrupt
from personal_avatar.problems import stated
from personal_avatar.weights.nouns import Member, Weight

CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of a file; remembered as long as its size and modification time stay the same."""
    status = path.stat()
    return _sha256(str(path), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: str, _modified_ns: int, _size: int) -> str:
    return storage.sha256_of(Path(path))


def matches(path: Path, weight: Weight | Member) -> bool:
    """Whether `path` holds exactly the bytes of `weight`."""
    return path.is_file() and _fits(path.stat().st_size, weight) and sha256_of(path) == weight.sha256


def _fits(size_bytes: int, weight: Weight | Member) -> bool:
    return size_bytes == weight.size_bytes or (isinstance(weight, Weight) and not weight.exact_size)


@contextmanager
def replaced(target: Path) -> Iterator[IO[bytes]]:
    """A file to write; it takes the place of `target` at the end of the block, and leaves no trace when that fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=target.name + ".", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def store(source: IO[bytes], weight: Weight | Member, target: Path) -> Path:
    """Copy a stream to `target` if it has the right bytes; raises `WeightsCorrupt` and writes nothing otherwise."""
    digest = hashlib.sha256()
    with replaced(target) as file:
        for chunk in iter(lambda: source.read(CHUNK_BYTES), b""):
            digest.update(chunk)
            file.write(chunk)
        _must_be(digest.hexdigest(), weight)
    return target


def adopt(part: Path, weight: Weight, target: Path) -> Path:
    """Move a whole file to its place if it has the right bytes; raises `WeightsCorrupt` and removes it otherwise."""
    try:
        _must_be(storage.sha256_of(part), weight)
    except WeightsCorrupt:
        part.unlink(missing_ok=True)
        raise
    os.replace(part, target)
    return target


def _must_be(sha256: str, weight: Weight | Member) -> None:
    if sha256 != weight.sha256:
        raise stated(WeightsCorrupt, "failure.other_bytes", file=weight.file_name, digest=sha256[:12])
