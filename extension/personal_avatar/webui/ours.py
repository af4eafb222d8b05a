"""Which pictures are ours, by what they say of their making, and their mark; knows no WebUI."""
from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from personal_avatar.pictures import GENERATED, PREFIX, mark_file
from personal_avatar.studio.restored import RESTORED

log = logging.getLogger(__name__)
NETWORK = re.compile(r"<(?:lora|lyco):([^:>]+)")
_FACES = re.compile(rf"{RESTORED}: [1-9]")


def is_ours(infotext: str, networks: Collection[str]) -> bool:
    """Whether a picture was made with a person that we put in: by a setting of ours or one of `networks`."""
    return PREFIX in infotext or not set(networks).isdisjoint(NETWORK.findall(infotext))


def was_restored(said: str) -> bool:
    """Whether the Extras tab says of a picture that we restored faces in it."""
    return _FACES.search(said) is not None


def mark_saved(picture: Path, source: str = GENERATED) -> None:
    """Mark what the WebUI has just saved. Never raises: the picture is there already, and stays when it cannot be."""
    try:
        for path in list(_written(picture)):
            mark_file(path, source)
    except Exception:
        log.exception("%s could not be marked", picture)


def _written(picture: Path) -> Iterator[Path]:
    """The file, and the smaller JPEG that the WebUI writes beside a large one right afterwards (`export_for_4chan`)."""
    yield picture
    beside = picture.with_suffix(".jpg")
    if beside != picture and beside.is_file() and beside.stat().st_mtime_ns >= picture.stat().st_mtime_ns:
        yield beside
