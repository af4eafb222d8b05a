"""Who does not belong: photos of somebody else, judged by a threshold and by the set's own spread.

A threshold alone holds for photos (SFace: same person .58 and more, others .30 and less) but not for drawings, where
other characters score .2-.85 to a character whose own pictures score .85-.97. So a photo is also conspicuous when it is
far below what is usual in this set.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST_TO_JUDGE = 4
FEWEST_FOR_SPREAD = 5
# A photo is an outlier when it lies below the median by this many standard deviations (estimated from the median
# deviation, so that outliers do not count), and by at least a gap; the small gap is for sets of much alike pictures.
OUTLIER_DEVIATIONS = 4.0
OUTLIER_GAP = 0.25
OUTLIER_GAP_ALIKE = 0.12
ALIKE_ABOVE = 0.88
FEWEST_ALIKE = 7
# Or when it is apart from all others by a gap this wide, and wider than any gap among them by this factor.
LONE_GAP = 0.15
LONE_GAP_RATIO = 1.5


@dataclass(frozen=True)
class Persons:
    """`similarity[i]`: cosine of photo i to the centre of the others. `strangers`: indices. `mixed`: no majority."""

    similarity: tuple[float, ...]
    strangers: frozenset[int]
    mixed: bool
    needed: float


def compare(embeddings: np.ndarray, same_person_above: float, by_spread: bool = True) -> Persons:
    """`embeddings`: float (n, d), rows of L2 norm 1. With fewer than four photos nobody is called a stranger.

    `by_spread`: also judge by what is usual in this set.
    """
    count = len(embeddings)
    if count < 2:
        return Persons((1.0,) * count, frozenset(), False, same_person_above)
    similarity = _to_centre(embeddings)
    needed = _needed(similarity, same_person_above) if by_spread else same_person_above
    outside = frozenset(np.flatnonzero(similarity < needed).tolist())
    judged = count >= FEWEST_TO_JUDGE and 2 * len(outside) < count
    return Persons(
        similarity=tuple(round(float(value), 3) for value in similarity),
        strangers=outside if judged else frozenset(),
        mixed=bool(outside) and not judged,
        needed=round(needed, 3),
    )


def centre(embeddings: np.ndarray) -> np.ndarray:
    """The person: mean of the photos (n, d), outliers left out: float32 (d,), L2 norm 1. n is at least 1."""
    if len(embeddings) < FEWEST_TO_JUDGE:
        return _unit(embeddings.sum(axis=0))
    similarity = _to_centre(embeddings)
    return _unit(embeddings[similarity >= _needed(similarity, -1.0)].sum(axis=0))


def _core(embeddings: np.ndarray) -> np.ndarray:
    """Indices of the larger half, nearest to the photo that has the highest median similarity to all."""
    among = embeddings @ embeddings.T
    middle = int(np.argmax(np.median(among, axis=1)))
    return np.argsort(-among[middle], kind="stable")[: len(embeddings) // 2 + 1]


def _to_centre(embeddings: np.ndarray) -> np.ndarray:
    """Each photo against the mean of the core without itself: (n,)."""
    core = _core(embeddings)
    total = embeddings[core].sum(axis=0)
    inside = np.isin(np.arange(len(embeddings)), core)
    others = np.where(inside[:, None], total - embeddings, total)
    return np.array([float(row @ _unit(other)) for row, other in zip(embeddings, others, strict=True)])


def _needed(similarity: np.ndarray, same_person_above: float) -> float:
    if len(similarity) < FEWEST_FOR_SPREAD:
        return same_person_above
    usual = float(np.median(similarity))
    deviation = 1.4826 * float(np.median(np.abs(similarity - usual)))
    few = _below_gap(similarity)
    alike = usual > ALIKE_ABOVE and len(similarity) >= FEWEST_ALIKE
    gap = OUTLIER_GAP_ALIKE if alike else OUTLIER_GAP
    return max(same_person_above, usual - max(OUTLIER_DEVIATIONS * deviation, gap), few)


def _below_gap(similarity: np.ndarray) -> float:
    """The middle of a gap that sets at most a quarter of the photos apart from the others; -1 without such a gap."""
    if len(similarity) < FEWEST_ALIKE:
        return -1.0
    ordered = np.sort(similarity)[::-1]
    gaps = ordered[:-1] - ordered[1:]
    place = int(np.argmax(gaps))
    others = float(np.delete(gaps, place).max())
    apart = place + 1 >= 0.75 * len(ordered) and gaps[place] > max(LONE_GAP, LONE_GAP_RATIO * others)
    return float(ordered[place] + ordered[place + 1]) / 2 if apart else -1.0


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype(np.float32)
