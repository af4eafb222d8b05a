"""Picture files -> scores: decoded and scored in chunks by several threads, as many chunks in memory as threads.

A chunk holds at most `MOST_PX` pixels, 50 MB, so that 8 threads hold 400 MB of pictures, however large the files are:
larger ones are reduced by a whole factor while they are read, those that have to be decoded whole one at a time.
"""
from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.errors import AvatarError, Crashed, UnreadablePhoto
from personal_avatar.formats import open_picture
from personal_avatar.naming import described, named
from personal_avatar.pictures import load_picture, prompt_of
from personal_avatar.problems import stated
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.nouns import OnProgress, Ranked
from personal_avatar.ranking.overall import EXACT, ordered
from personal_avatar.sessions import has_card, threads
from personal_avatar.storage import opened

LOG = logging.getLogger(__name__)
MOST_WORKERS = 8
ON_CARD, ON_PROCESSOR = 16, 2  # pictures in a chunk
MOST_PX = 4096 * 4096
_LARGE = threading.Lock()


@dataclass(frozen=True)
class Pace:
    """`workers`: threads, each with a chunk of `together` pictures."""

    workers: int
    together: int


def pace() -> Pace:
    """Batches where there is a graphics card, else as many threads as there are cores for networks."""
    cores = os.cpu_count() or 2
    if has_card():
        return Pace(min(MOST_WORKERS, cores), ON_CARD)
    return Pace(min(MOST_WORKERS, max(2, cores // threads())), ON_PROCESSOR)


def rank_files(paths: Sequence[Path], scorer: Scorer, on_progress: OnProgress | None = None) -> list[Ranked]:
    """Score files and put them in order, by `overall`. A file that cannot be read goes last and says why."""
    found = []
    for done, item in enumerate(scored_files(paths, scorer), start=1):
        found.append(item)
        if on_progress is not None:
            on_progress(done, len(paths))
    return best_first(found, scorer)


def best_first(
    items: Sequence[Ranked], scorer: Scorer, check: Callable[[], None] = lambda: None, exact: int = EXACT
) -> list[Ranked]:
    """By `overall`; then those without a face, then those that could not be read. `check`, `exact`: see `ordered`."""
    ranked = ordered(items, [item.look for item in items], scorer.scale, exact=exact, check=check)
    return sorted(ranked, key=lambda item: item.error is not None)


def scored_files(paths: Sequence[Path], scorer: Scorer, how: Pace | None = None) -> Iterator[Ranked]:
    """Files with their scores, in the order given. When the caller stops early, what has not begun is not begun."""
    how = how or pace()
    chunks = [paths[start : start + how.together] for start in range(0, len(paths), how.together)]
    pool = ThreadPoolExecutor(how.workers, thread_name_prefix="avatar-rank")
    try:
        for chunk in pool.map(lambda chunk: _scored(chunk, scorer), chunks):
            yield from chunk
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _scored(paths: Sequence[Path], scorer: Scorer) -> list[Ranked]:
    """A chunk, in as many parts as its pictures need; what cannot be read or measured says why."""
    found: dict[Path, Ranked] = {}
    read: dict[Path, np.ndarray] = {}
    for path in dict.fromkeys(paths):
        if read and _size(path).held_px + sum(image.size // 3 for image in read.values()) > MOST_PX:
            found |= _measured(read, scorer)
            read = {}
        one = _read(path)
        if isinstance(one, AvatarError):
            found[path] = Ranked(path, None, error=one.to_json())
        else:
            read[path] = one
    found |= _measured(read, scorer)
    return [found[path] for path in paths]


def _measured(read: Mapping[Path, np.ndarray], scorer: Scorer) -> dict[Path, Ranked]:
    """All at once, and one by one where that fails. What the judges themselves lack is not about a picture."""
    if not read:
        return {}
    prompts = [_prompt(path) for path in read]
    try:
        told = scorer.score_many(list(read.values()), prompts if scorer.opinions.follows else [])
    except AvatarError:
        raise
    except Exception as error:
        LOG.warning("%s cannot be ranked", ", ".join(path.name for path in read), exc_info=True)
        if len(read) == 1:
            return {path: Ranked(path, None, error=_why(path, error).to_json()) for path in read}
        apart = (_measured({path: image}, scorer) for path, image in read.items())
        return {path: ranked for one in apart for path, ranked in one.items()}
    return {path: Ranked(path, one.likeness, one.scores, one.faces, look=one.look, prompt=prompt)
            for path, one, prompt in zip(read, told, prompts, strict=True)}


def _why(path: Path, error: Exception) -> AvatarError:
    known = named(error)
    if isinstance(known, Crashed):
        return stated(UnreadablePhoto, "failure.unmeasured", file=path.name, cause=described(error))
    return known


@dataclass(frozen=True)
class _Size:
    """`held_px`: how many pixels are held once a file is read; `whole`: whether all of too many are decoded first."""

    held_px: int
    whole: bool


def _size(path: Path) -> _Size:
    """As the file's head tells; of nothing where it cannot be read."""
    try:
        with opened(path) as data, open_picture(data, path.name) as file:
            pixels = file.width * file.height
            return _Size(min(MOST_PX, pixels), pixels > MOST_PX and file.format != "JPEG")
    except Exception:
        LOG.debug("%s does not say how large it is", path, exc_info=True)
        return _Size(0, False)


def _read(path: Path) -> np.ndarray | AvatarError:
    try:
        with _LARGE if _size(path).whole else nullcontext():
            return load_picture(path, MOST_PX)
    except UnreadablePhoto as error:
        return error
    except Exception as error:
        LOG.warning("%s cannot be read", path, exc_info=True)
        return _why(path, error)


def _prompt(path: Path) -> str:
    """What the picture was made with; empty where the file does not say."""
    try:
        return prompt_of(path)
    except Exception:
        LOG.debug("%s does not say how it was made", path, exc_info=True)
        return ""


def to_document(ranked: Iterable[Ranked]) -> dict[str, Any]:
    """The JSON document of `personal-avatar rank`, best first; without looks."""
    return {"images": [row(item) for item in ranked]}


def row(item: Ranked) -> dict[str, Any]:
    """One picture of the document."""
    told = {"path": str(item.path), "likeness": item.likeness, "scores": item.scores, "faces": item.faces}
    return {**told, "error": item.error} if item.error else told
