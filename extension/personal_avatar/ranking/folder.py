"""Picture files -> scores: decoded and scored in chunks by several threads, as many chunks in memory as threads."""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from personal_avatar.errors import AvatarError, UnreadablePhoto
from personal_avatar.pictures import load_picture, prompt_of
from personal_avatar.ranking.likeness import Scorer
from personal_avatar.ranking.nouns import OnProgress, Ranked
from personal_avatar.ranking.overall import ordered
from personal_avatar.sessions import has_card, threads

MOST_WORKERS = 8
ON_CARD, ON_PROCESSOR = 16, 2  # pictures in a chunk


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


def best_first(items: Sequence[Ranked], scorer: Scorer) -> list[Ranked]:
    """By `overall`; then those without a face, then those that could not be read."""
    ranked = ordered(items, [item.look for item in items], scorer.scale)
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
    """A chunk; what cannot be read is told from what can."""
    read = [_read(path) for path in paths]
    images = [one for one in read if isinstance(one, np.ndarray)]
    prompts = [_prompt(path) for path, one in zip(paths, read, strict=True) if isinstance(one, np.ndarray)]
    told = iter(scorer.score_many(images, prompts if scorer.opinions.follows else ()))
    return [_ranked(path, one, told) for path, one in zip(paths, read, strict=True)]


def _ranked(path: Path, read: np.ndarray | AvatarError, told: Iterator[Any]) -> Ranked:
    if isinstance(read, AvatarError):
        return Ranked(path, None, error=read.to_json())
    found = next(told)
    return Ranked(path, found.likeness, found.scores, found.faces, look=found.look)


def _read(path: Path) -> np.ndarray | AvatarError:
    try:
        return load_picture(path)
    except UnreadablePhoto as error:
        return error


def _prompt(path: Path) -> str:
    """What the picture was made with; empty where the file does not say."""
    try:
        return prompt_of(path)
    except (OSError, ValueError, SyntaxError):
        return ""


def to_document(ranked: Iterable[Ranked]) -> dict[str, Any]:
    """The JSON document of `personal-avatar rank`, best first; without looks."""
    return {"images": [row(item) for item in ranked]}


def row(item: Ranked) -> dict[str, Any]:
    """One picture of the document."""
    told = {"path": str(item.path), "likeness": item.likeness, "scores": item.scores, "faces": item.faces}
    return {**told, "error": item.error} if item.error else told
