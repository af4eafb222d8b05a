"""The files that were trained of a person, wherever in the host's folders they lie now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.domain import Avatar
from personal_avatar.host import Folders
from personal_avatar.jobs.store import JobView, named_in
from personal_avatar.storage import files_below, sha256_of


@dataclass(frozen=True)
class Trained:
    """`own`: a person's files, and what was published beside them, there or not; `foreign`: other files that lie where
    one of the person's was published."""

    own: tuple[Path, ...]
    foreign: tuple[Path, ...]


def trained(avatar: Avatar, views: Iterable[JobView], folders: Folders) -> Trained:
    """Where avatar and jobs say that files are, and those of the same names that lie elsewhere in the host's folders,
    such as in a subfolder, or because a folder above was renamed. A file whose SHA-256 is known has to have it."""
    views = list(views)
    points = [(point.path, point.sha256) for point in avatar.checkpoints]
    told = (point for view in views for point in (view.result or {}).get("checkpoints", []))
    points += [(Path(point["path"]), point.get("sha256", "")) for point in told]
    known: dict[str, set[str]] = {}
    for path, sha256 in points:
        known.setdefault(path.name, set()).update({sha256} - {""})
    published = {path for path, _ in points} | named_in(views, "files")
    foreign = {path for path in published if path.is_file() and known.get(path.name) and not _is_one(path, known)}
    own = {path for path in published if not any(_belongs(path, other) for other in foreign)}
    moved = (path for folder in _results(folders) for path in files_below(folder) if path not in published)
    own |= {path for path in moved if path.name in known and _is_one(path, known)}
    return Trained(tuple(sorted(own)), tuple(sorted(foreign)))


def _is_one(path: Path, known: Mapping[str, set[str]]) -> bool:
    try:
        return sha256_of(path) in known[path.name]
    except OSError:
        return False


def _belongs(path: Path, file: Path) -> bool:
    """Whether it is the file, or was published beside it."""
    return path.parent == file.parent and path.name.startswith(f"{file.stem}.")


def _results(folders: Folders) -> tuple[Path, ...]:
    """Where the host finds what was trained."""
    return (folders.loras, *folders.more_loras, folders.embeddings, folders.checkpoints)
