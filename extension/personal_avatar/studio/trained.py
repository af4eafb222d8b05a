"""The files that were trained of a person, wherever in the host's folders they lie now."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from personal_avatar.domain import Avatar, Checkpoint, Method
from personal_avatar.domain.merit import best_of
from personal_avatar.erasure import COMPANIONS, companions, led_to
from personal_avatar.errors import WrongState
from personal_avatar.host import Folders
from personal_avatar.jobs.store import JobView, named_in
from personal_avatar.names import ids_for
from personal_avatar.networks import read_header
from personal_avatar.problems import stated
from personal_avatar.provenance import MADE_BY
from personal_avatar.storage import files_below, sha256_of, slug

_KINDS = {Method.TEXTUAL_INVERSION: "embeddings", Method.DREAMBOOTH: "checkpoints"}  # of files; others are LoRAs
MODELS = (".safetensors", ".pt", ".ckpt", ".bin")


@dataclass(frozen=True)
class Trained:
    """`own`: a person's files, there or not, each with its `companions`; `foreign`: other files that lie where one of
    the person's was published, or beside where one was that is gone, and those of an original of the data folder;
    `contents`: SHA-256 of the person's, as far as they are known."""

    own: tuple[Path, ...]
    foreign: tuple[Path, ...]
    contents: frozenset[str] = frozenset()


def trained(
    avatar: Avatar, views: Iterable[JobView], folders: Folders, begun: Iterable[Path], is_copy: bool = False
) -> Trained:
    """Where avatar and jobs say that files are, and those that lie elsewhere in the host's folders: in a subfolder, in
    one whose own folder was renamed, or under another name. A file whose SHA-256 is known has to have it. `begun`: what
    the jobs left of what they never told of. `is_copy`: of a data folder that is still there, too: what lies outside of
    the host's folders is the original's."""
    views = list(views)
    points = [(point.path, point.sha256) for point in avatar.checkpoints]
    told = (point for view in views for point in (view.result or {}).get("checkpoints", []))
    points += [(Path(point["path"]), point.get("sha256", "")) for point in told]
    known: dict[str, set[str]] = {}
    for path, sha256 in points:
        known.setdefault(path.name, set()).update({sha256} - {""})
    told_of = {path for path, _ in points} | named_in(views, "files") | set(begun)
    outside = {path for path in told_of if is_copy and not _is_inside(path, folders)}
    published = told_of - outside - set(begun)
    foreign = {path for path in published if path.is_file() and known.get(path.name) and not _is_one(path, known)}
    rivals = {other for path in published for other in _instead(path)}
    foreign |= {path for path in rivals if not _is_one(path, known)}
    own = {path for path in published if not any(_belongs(path, other) for other in foreign)} | rivals - foreign
    moved = (path for folder in result_folders(folders) for path in files_below(folder) if path not in published)
    own |= {path for path in moved if (path.name in known or _was_trained_here(path)) and _is_one(path, known)}
    own |= set(begun) - outside
    own -= {path for file in own if file.suffix not in COMPANIONS for path in companions(file)}
    return Trained(tuple(sorted(own)), tuple(sorted(foreign | outside)), frozenset().union(*known.values()))


def likely(avatar_id: str, folders: Folders) -> list[Path]:
    """Files that were trained here of somebody of this id, as far as their names and what they say of themselves tell:
    nothing else knows."""
    files = (path for folder in result_folders(folders) for path in files_below(folder))
    return [path for path in files if _was_trained_here(path) and avatar_id in _ids_told(path)]


def lies_here(point: Checkpoint, folders: Folders) -> bool:
    """Whether the host finds the file of a training: an avatar's folder can be copied without it."""
    places = folders.looked_in(point.method)
    if point.path.is_file() and any(point.path.is_relative_to(place) for place in places):
        return True
    return any(path.name == point.path.name for place in places for path in files_below(place))


def here(points: Sequence[Checkpoint], folders: Folders) -> tuple[Checkpoint, ...]:
    """Those that the host finds, in their order."""
    return tuple(point for point in points if lies_here(point, folders))


def best_here(points: Sequence[Checkpoint], folders: Folders) -> Checkpoint | None:
    """The best of those that the host finds; of those that are gone where it finds none, for whoever says so."""
    return best_of(here(points, folders) or points)


def refuse_lost(avatar: Avatar, point: Checkpoint, folders: Folders) -> None:
    """Raise `WrongState` when the host does not find the file of a training."""
    if not lies_here(point, folders):
        kind = _KINDS.get(point.method, "LoRAs")
        values = {"file": point.path.name, "who": avatar.name, "kinds": kind}
        raise stated(WrongState, "failure.lost", "remedy.copy_here", **values)


def _is_one(path: Path, known: Mapping[str, set[str]]) -> bool:
    """Whether it is what was trained under its name; under a name that nothing was trained under, anything that was."""
    contents = known[path.name] if path.name in known else set().union(*known.values())
    try:
        return bool(contents) and sha256_of(path) in contents
    except OSError:
        return False


def _instead(path: Path) -> list[Path]:
    """Models to which what lies beside a trained file belongs now that the file itself is gone."""
    if path.suffix in COMPANIONS or path.exists():
        return []
    return [other for ending in MODELS if (other := path.with_suffix(ending)).is_file()]


def _ids_told(path: Path) -> list[str]:
    """Ids that the person may have in a file that was trained."""
    header = read_header(path)
    title = header.metadata.get("modelspec.title", "") if header is not None else ""
    return [slug(path.stem).removeprefix("pa-"), *itertools.islice(ids_for(title), 9 if title else 0)]


def _was_trained_here(path: Path) -> bool:
    """By its header alone, which is quick to read where the content of a checkpoint is not."""
    header = read_header(path) if path.suffix.lower() == ".safetensors" else None
    return header is not None and MADE_BY in header.metadata


def _is_inside(path: Path, folders: Folders) -> bool:
    """Whether it lies in a folder of the host, by its name or in truth: links may lead to folders, and out of them."""
    places = (folders.data, *result_folders(folders))
    named = any(path.is_relative_to(place) for place in places)
    return named or any(led_to(path).is_relative_to(led_to(place)) for place in places)


def _belongs(path: Path, file: Path) -> bool:
    """Whether it is the file, or was published beside it."""
    return path.parent == file.parent and path.name.startswith(f"{file.stem}.")


def result_folders(folders: Folders) -> tuple[Path, ...]:
    """Where the host finds what was trained, those that it goes to first."""
    return tuple(dict.fromkeys(place for method in Method for place in folders.looked_in(method)))
