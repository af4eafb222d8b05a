"""Which checkpoint made the pictures of a class that are kept: one that was trained of a person shows that person, and
what it made is erased along with the person."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from personal_avatar.domain import BaseModelFile
from personal_avatar.storage import write_json

SHARED = "class-pictures"  # in the cache that all trainings share
NOTE = "made-by.json"


def noted(folder: Path, base: BaseModelFile) -> None:
    """Beside the pictures in `folder`: who made them."""
    if not (folder / NOTE).is_file():
        write_json(folder / NOTE, {"sha256": base.sha256, "checkpoint": base.path.name})


def made_by(cache: Path, sha256s: Collection[str]) -> list[Path]:
    """Folders of pictures that checkpoints of these contents made, or that nobody noted who made: earlier versions did
    not. All can be made again."""
    folders = [path for path in sorted((cache / SHARED).glob("*")) if path.is_dir()]
    return [folder for folder in folders if _maker(folder) in {"", *sha256s}]


def _maker(folder: Path) -> str:
    try:
        return str(json.loads((folder / NOTE).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
