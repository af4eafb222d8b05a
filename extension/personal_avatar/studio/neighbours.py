"""Which pictures of a job are most alike: by what they look like, and by the words of their prompts.

What that takes is read once a job: a ranking has written it down when it scored the pictures, other pictures are looked
at when it is first asked for. It is read anew when something of the job has changed.
"""
from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from personal_avatar.errors import UnreadablePhoto
from personal_avatar.jobs.kept import EVENTS_FILE
from personal_avatar.pictures import load_picture, prompt_of
from personal_avatar.ranking.looks import Looks, look
from personal_avatar.ranking.nouns import Ranked
from personal_avatar.studio.keeping import number_of
from personal_avatar.studio.sortings import scored_in

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

SAME_PROMPT = 0.1  # what the words of the prompt add to how alike two pictures are
Near = tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class _Seen:
    """Of the pictures of a job: their numbers, what they look like, and the words of their prompts."""

    numbers: tuple[int, ...]
    looks: Looks
    words: tuple[frozenset[str], ...]

    def nearest(self, number: int, count: int) -> Near:
        if number not in self.numbers:
            return ()
        place = self.numbers.index(number)
        shared = np.array([_shared(self.words[place], words) for words in self.words])
        scores = (self.looks.alike_to(place) + SAME_PROMPT * shared) / (1 + SAME_PROMPT)
        best = [at for at in np.argsort(-scores, kind="stable") if at != place][:count]
        return tuple((self.numbers[at], round(float(scores[at]), 4)) for at in best)


class Neighbours:
    """Keeps the job that was asked about last, and the last answer. Thread-safe."""

    def __init__(self, studio: Studio) -> None:
        self._studio, self._asking = studio, threading.Lock()
        self._known: tuple[tuple[str, int], _Seen] | None = None
        self._answer: tuple[tuple[str, int, int, int], Near] | None = None

    def of(self, job_id: str, number: int, count: int) -> Near:
        """(number, how alike 0..1) of other pictures of a job, most alike first. Raises `NotFound` without the job."""
        changed_ns = (self._studio.jobs.folder(job_id) / EVENTS_FILE).stat().st_mtime_ns
        key, asked = (job_id, changed_ns), (job_id, changed_ns, number, count)
        with self._asking:
            if self._answer is None or self._answer[0] != asked:
                if self._known is None or self._known[0] != key:
                    self._known = (key, self._seen(job_id))
                self._answer = (asked, self._known[1].nearest(number, count))
            return self._answer[1]

    def _seen(self, job_id: str) -> _Seen:
        scored = scored_in(self._studio.jobs.folder(job_id))
        found: list[tuple[int, np.ndarray, frozenset[str]]] = []
        for place, image in enumerate((self._studio.jobs.view(job_id).result or {}).get("images", [])):
            number, known = number_of(image, place), scored.get(image["path"])
            seen = _look(Path(image["path"]), known)
            if seen is not None:
                found.append((number, seen, _words(_prompt(image, known))))
        numbers, looks, words = zip(*found, strict=True) if found else ((), (), ())
        return _Seen(numbers, Looks(looks), words)


def _look(path: Path, known: Ranked | None) -> np.ndarray | None:
    """As it was seen when it was scored; else as the picture alone tells. None where it is gone."""
    if known is not None and known.look is not None:
        return known.look
    try:
        return look(load_picture(path), None)
    except (OSError, UnreadablePhoto):
        return None


def _prompt(image: Mapping[str, Any], known: Ranked | None) -> str:
    if known is not None:
        return known.prompt
    if image.get("prompt"):
        return str(image["prompt"])
    try:
        return prompt_of(Path(image["path"]))
    except UnreadablePhoto:
        return ""


def _words(prompt: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", prompt.lower()))


def _shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of the words that both have, 0..1."""
    return len(one & other) / max(len(one | other), 1)
