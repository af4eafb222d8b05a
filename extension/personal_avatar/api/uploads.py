"""Pictures that came in a request: base64 text becomes files in a private temporary folder.

Names never come from outside, sizes are checked before anything is decoded, and the folder is gone when the request
ends.
"""
from __future__ import annotations

import base64
import binascii
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from personal_avatar.errors import FileTooLarge, InvalidSettings
from personal_avatar.problems import all_refused

MAX_PICTURE_BYTES = 40 * 2**20
BEGINNING = 4096  # characters of base64, a multiple of four, by which a picture is known at a glance
DATA_URL = re.compile(r"\s*data:[\w.+-]*/?[\w.+-]*(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


def decode(text: str, name: str) -> bytes:
    """The bytes of one picture given as base64 or as a data URL; `name`: its place in the request, for errors.

    Raises `FileTooLarge` before decoding, `InvalidSettings` when the text is not base64.
    """
    if _is_too_large(text):
        raise FileTooLarge(f"{name} is larger than {MAX_PICTURE_BYTES >> 20} MB.")
    return _decoded(_dense(text[_start(text) :]), name)


def _is_too_large(text: str) -> bool:
    return len(text) * 3 // 4 > MAX_PICTURE_BYTES + 1024


def _start(text: str) -> int:
    """Where the base64 text begins."""
    prefix = DATA_URL.match(text[:200])
    return prefix.end() if prefix else 0


def _dense(text: str) -> str:
    return re.sub(r"\s+", "", text)


def _decoded(dense: str, name: str) -> bytes:
    if not dense:
        raise InvalidSettings(f"{name} is empty.", "Send the picture's file again.")
    try:
        return base64.b64decode(dense.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidSettings(
            f"{name} is not base64.", "Send each picture's file as base64 text, or as a data URL."
        ) from None


def refuse_no_pictures(images: Sequence[str]) -> None:
    """Raises `InvalidSettings` that names all that are no pictures by how they begin, which takes a moment however
    large they are. What only the rest tells, such as their size, is left to `received_photos`."""
    all_refused(*(partial(_glance, text, f"images[{number}]") for number, text in enumerate(images)))


def _glance(text: str, name: str) -> None:
    from personal_avatar.formats import may_be_picture

    if _is_too_large(text):
        return
    start = _start(text)
    dense = _dense(text[start : start + BEGINNING])
    if len(text) - start <= BEGINNING:
        _refuse_other(BytesIO(_decoded(dense, name)), name)
    elif (whole := dense[: len(dense) // 4 * 4]) and not may_be_picture(_decoded(whole, name)):
        raise _no_picture(name)


@contextmanager
def received_photos(images: Sequence[str]) -> Iterator[list[Path]]:
    """`received` for a training, which would only be told later: raises `InvalidSettings` for what is no picture."""
    with received(images) as paths:
        refuse_others(paths)
        yield paths


def refuse_others(paths: Iterable[Path]) -> None:
    """Raises `InvalidSettings` for files that are no pictures, by their heads; what is wrong with pictures is for the
    report on the photos."""
    for path in paths:
        with path.open("rb") as file:
            _refuse_other(file, path.name)


def _refuse_other(file: BinaryIO, name: str) -> None:
    from personal_avatar.formats import is_picture

    if not is_picture(file):
        raise _no_picture(name)


def _no_picture(name: str) -> InvalidSettings:
    return InvalidSettings(f"{name} is not a picture.", "Send JPEG, PNG or WebP files.")


@contextmanager
def received(images: Sequence[str]) -> Iterator[list[Path]]:
    """Files of the pictures, in order, readable by this user only, for the duration of the `with` block."""
    with received_by_name({f"images[{number}]": text for number, text in enumerate(images)}) as paths:
        yield list(paths.values())


@contextmanager
def received_by_name(pictures: Mapping[str, str]) -> Iterator[dict[str, Path]]:
    """`received` for pictures from several places of a request; each file is called after its place."""
    with tempfile.TemporaryDirectory(prefix="personal-avatar-") as folder:
        paths = {name: Path(folder) / name for name in pictures}
        for name, text in pictures.items():
            paths[name].write_bytes(decode(text, name))
        yield paths
