"""Which pictures of many show the same somebody: the tightest group among them, or those like somebody who is known.

Faces are rows of float (n, d) with L2 norm 1, similarities cosines.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from personal_avatar.photos.persons import people, to_members

HALVINGS = 12  # of the span -1..1, in search of the limit at which a group falls apart
LEAST_SHARE = 0.25  # of somebody's own photos that count as unusual ones
FEWEST_OWN = 3  # photos that can tell how alike somebody's photos are


@dataclass(frozen=True)
class Chosen:
    """`members`: places among the faces, the most typical first, and the `likeness` of each. `similarity`: the mean
    among them, or to the somebody; `runner_up`: that of the next best group of the size, None without one."""

    members: tuple[int, ...]
    likeness: tuple[float, ...]
    similarity: float
    runner_up: float | None = None


class Judge(Protocol):
    """Decides which faces are the character."""

    @property
    def needed(self) -> float:
        """The similarity from which there is no doubt."""
        ...

    def likeness(self, faces: np.ndarray, place: int) -> float:
        """What can be told of one face as soon as it is there."""
        ...

    def enough(self, faces: np.ndarray) -> bool:
        """Whether as many as are wanted are alike without doubt."""
        ...

    def chosen(self, faces: np.ndarray, keep: int) -> Chosen | None:
        """The best that there is; None when it is not good enough, or not `keep` pictures."""
        ...


@dataclass(frozen=True)
class SameSomebody:
    """Nobody is known yet: whoever is in most alike pictures. `same_above`: the recogniser's limit."""

    needed: float
    same_above: float
    keep: int

    def likeness(self, faces: np.ndarray, place: int) -> float:
        """To the most alike of those before; 0 for the first."""
        return float((faces[:place] @ faces[place]).max()) if place else 0.0

    def enough(self, faces: np.ndarray) -> bool:
        return len(faces) >= self.keep and len(people(faces, self.needed)[0]) >= self.keep

    def chosen(self, faces: np.ndarray, keep: int) -> Chosen | None:
        """The group of at least `keep` that holds together longest."""
        group, limit = tightest(faces, keep)
        if not group or limit < self.same_above:
            return None
        left = [place for place in range(len(faces)) if place not in set(group)]
        second, _ = tightest(faces[left], keep)
        runner_up = round(mean_similarity(faces[left][second]), 4) if second else None
        likeness = to_members(faces, group)
        ordered = sorted(group, key=lambda place: -likeness[place])
        return Chosen(
            tuple(ordered), tuple(round(float(likeness[place]), 4) for place in ordered),
            round(mean_similarity(faces[group]), 4), runner_up,
        )


@dataclass(frozen=True, eq=False)
class LikeSomebody:
    """`own`: faces of the somebody's photos; a face counts when it is as much like them as they are like each other."""

    own: np.ndarray
    needed: float
    keep: int

    @classmethod
    def of(cls, own: np.ndarray, keep: int, otherwise: float, needed: float = 0.0) -> LikeSomebody:
        """`needed` 0: what all but the least usual quarter of the own photos reach, or `otherwise` with too few."""
        if not needed:
            needed = float(np.quantile(_to_each_other(own), LEAST_SHARE)) if len(own) >= FEWEST_OWN else otherwise
        return cls(own, needed, keep)

    def likeness(self, faces: np.ndarray, place: int) -> float:
        return float((self.own @ faces[place]).mean())

    def enough(self, faces: np.ndarray) -> bool:
        return len(self._good(faces)) >= self.keep

    def chosen(self, faces: np.ndarray, keep: int) -> Chosen | None:
        """All that are alike enough; `keep` is no condition, since each of them is worth having."""
        good = self._good(faces)
        if not good:
            return None
        likeness = faces @ self.own.T.mean(axis=1)
        ordered = sorted(good, key=lambda place: -likeness[place])
        told = tuple(round(float(likeness[place]), 4) for place in ordered)
        return Chosen(tuple(ordered), told, round(float(np.mean(told)), 4))

    def _good(self, faces: np.ndarray) -> list[int]:
        if not len(faces):
            return []
        good: list[int] = np.flatnonzero(faces @ self.own.T.mean(axis=1) >= self.needed).tolist()
        return good


def tightest(faces: np.ndarray, keep: int) -> tuple[list[int], float]:
    """The group of at least `keep` that stays together up to the highest limit, and that limit; empty without one.

    Average linkage: with a higher limit groups only fall apart, so the limit is found by halving.
    """
    if len(faces) < keep:
        return [], -1.0
    best, low, high = list(range(len(faces))), -1.0, 1.0
    for _ in range(HALVINGS):
        limit = (low + high) / 2
        groups = [group for group in people(faces, limit) if len(group) >= keep]
        if groups:
            best, low = max(groups, key=lambda group: mean_similarity(faces[group])), limit
        else:
            high = limit
    return best, low


def mean_similarity(faces: np.ndarray) -> float:
    """Mean cosine of all pairs; 1 for a single face."""
    count = len(faces)
    return float(((faces @ faces.T).sum() - count) / (count * (count - 1))) if count > 1 else 1.0


def _to_each_other(own: np.ndarray) -> Sequence[float]:
    """Mean cosine of each to the others; there are at least two."""
    count = len(own)
    found: list[float] = (((own @ own.T).sum(axis=1) - 1) / (count - 1)).tolist()
    return found
