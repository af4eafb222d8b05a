"""Weights that are published as a zip: only the files that are wanted come out of it, each verified."""
from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

from personal_avatar.errors import WeightsCorrupt
from personal_avatar.problems import stated
from personal_avatar.weights.download import OnProgress, take_from_url
from personal_avatar.weights.files import store
from personal_avatar.weights.nouns import Member, Weight


def take_from_zip(weight: Weight, folder: Path, on_progress: OnProgress) -> Path:
    """Download the zip, take its `members` out into `folder`, remove it. Raises as `take_from_url` does."""
    path = take_from_url(weight, folder.with_name(f"{folder.name}.zip"), on_progress)
    try:
        unpack(path, weight.members, folder)
    finally:
        path.unlink(missing_ok=True)
    return folder


def unpack(path: Path, members: tuple[Member, ...], folder: Path) -> None:
    """Write each member under its own bare name; nothing else in the zip is looked at. Raises `WeightsCorrupt`."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in members:
                _take(archive, member, folder)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, RuntimeError, NotImplementedError) as error:
        raise stated(WeightsCorrupt, "failure.archive", file=path.name, cause=error) from error


def _take(archive: zipfile.ZipFile, member: Member, folder: Path) -> None:
    entry = archive.getinfo(member.path)
    if entry.file_size != member.size_bytes:
        raise stated(
            WeightsCorrupt, "failure.member", file=member.path, found=entry.file_size, expected=member.size_bytes,
        )
    with archive.open(entry) as source:
        store(source, member, folder / member.file_name)
