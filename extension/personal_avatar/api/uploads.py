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
from pathlib import Path

from personal_avatar.errors import FileTooLarge, InvalidSettings

MAX_PICTURE_BYTES = 40 * 2**20
DATA_URL = re.compile(r"\s*data:[\w.+-]*/?[\w.+-]*(;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)


def decode(text: str, name: str) -> bytes:
    """The bytes of one picture given as base64 or as a data URL; `name`: its place in the request, for errors.

    Raises `FileTooLarge` before decoding, `InvalidSettings` when the text is not base64.
    """
    if len(text) * 3 // 4 > MAX_PICTURE_BYTES + 1024:
        raise FileTooLarge(f"{name} is larger than {MAX_PICTURE_BYTES >> 20} MB.")
    prefix = DATA_URL.match(text[:200])
    try:
        plain = re.sub(r"\s+", "", text[prefix.end() if prefix else 0 :])
        data = base64.b64decode(plain.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise InvalidSettings(
            f"{name} is not base64.", "Send each picture's file as base64 text, or as a data URL."
        ) from None
    if not data:
        raise InvalidSettings(f"{name} is empty.", "Send the picture's file again.")
    return data


def refuse_no_pictures(images: Sequence[str]) -> None:
    """Raises what `received_photos` would, and keeps nothing."""
    with received_photos(images):
        pass


@contextmanager
def received_photos(images: Sequence[str]) -> Iterator[list[Path]]:
    """`received` for a training, which would only be told later: raises `InvalidSettings` for what is no picture."""
    with received(images) as paths:
        refuse_others(paths)
        yield paths


def refuse_others(paths: Iterable[Path]) -> None:
    """Raises `InvalidSettings` for files that are no pictures, by their heads; what is wrong with pictures is for the
    report on the photos."""
    from personal_avatar.formats import is_picture

    for path in paths:
        with path.open("rb") as file:
            if not is_picture(file):
                raise InvalidSettings(f"{path.name} is not a picture.", "Send JPEG, PNG or WebP files.")


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
