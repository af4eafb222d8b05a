"""What a training publishes is noted in its job's folder before the first byte of it is written: however the process
ends, the next attempt and whoever erases the person find what it left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personal_avatar.erasure import companions
from personal_avatar.jobs.homing import homed
from personal_avatar.networks import read_header
from personal_avatar.storage import half_written, write_json

NOTE = "publishing.json"


def note(folder: Path, file: Path, metadata: Mapping[str, str]) -> None:
    """`folder`: of the job; `metadata`: the texts that will be in the header of `file`. What was noted before and could
    not be removed stays noted."""
    earlier = [noted for noted in _notes(folder) if _written(noted)]
    write_json(folder / NOTE, [*earlier, {"file": str(file), "metadata": metadata}])


def begun(folder: Path) -> list[Path]:
    """What the job in `folder` wrote of what it noted, and is still there: the file, if by its header it is that one,
    for another may have got the name since, and what was half written when the process ended."""
    return [path for noted in _notes(folder) for path in _written(noted)]


def _notes(folder: Path) -> list[dict[str, Any]]:
    try:
        notes = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        return [{**noted, "file": homed(noted["file"], folder)} for noted in notes]
    except (OSError, ValueError):
        return []


def _written(noted: dict[str, Any]) -> list[Path]:
    file = Path(noted["file"])
    header = read_header(file)
    own = [file] if header is not None and header.metadata == noted["metadata"] else []
    return [*own, *(part for path in (file, *companions(file)) for part in half_written(path))]
