"""Who does not belong: photos of somebody else, found by who is like whom, and by the set's own spread.

Faces are gathered into people (average linkage: two groups are one person when their photos are, on average, more
alike than the recogniser's limit). The person meant is the one whom the user vouched for, else the one in most photos.
Drawings need the spread besides, because other characters score .2-.85 to a character whose own pictures score .85-.97
(SFace): within the person's group a picture is conspicuous when it is far below what is usual there. Photos of one
person differ more than that, so that among them the spread would cost good ones (1 of 900).

Measured on 165 photos of 37 people from public test sets (years apart, turned heads, grimaces, glasses, black and
white), 15,837 pairs of different people and 453 of the same:

| recogniser | the same person: lowest, 1 %, 5 %, half | others: half, 99 %, 99.9 %, highest | limit |
|---|---|---|---|
| SFace      | .37, .43, .49, .74 | .09, .30, .36, .50 | .40 |
| w600k_mbf  | .32, .36, .44, .69 | .00, .17, .24, .32 | .30 |

2,500 sets drawn from them (one to three people, strangers in the minority, 2 to 20 photos): of 8,936 photos of the
person meant 3 (SFace) and 0 (w600k_mbf) were refused, of 5,616 photos of others none was accepted. Among eight people
of a generator, two of whom are as alike as twins (.43 and .35), 27 and 32 of 1,017 photos of others were accepted.
"""
from __future__ import annotations

from collections.abc import Collection
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
OF_LARGER = 0.03


@dataclass(frozen=True)
class Persons:
    """`similarity[i]`: cosine of photo i to the centre of the others of the person meant. `strangers`: indices.

    `people`: how many were told apart; `mixed`: the person meant is not in most of the photos. `centre`: the person,
    float32 (d,), L2 norm 1. `needed`: the lowest similarity that counts as the person.
    """

    similarity: tuple[float, ...]
    strangers: frozenset[int]
    people: int
    mixed: bool
    needed: float
    centre: np.ndarray


def compare(
    embeddings: np.ndarray, same_person_above: float, by_spread: bool = True, sure: Collection[int] = ()
) -> Persons:
    """`embeddings`: float (n, d), rows of L2 norm 1, n at least 1. `sure`: photos that the user vouched for.

    `by_spread`: also judge by what is usual among the photos of the person.
    """
    groups = people(embeddings, same_person_above)
    main = _meant(groups, sure)
    similarity = to_members(embeddings, [main[index] for index in _core(embeddings[main])])
    needed = _needed(similarity[main], same_person_above) if by_spread else same_person_above
    outside = set(range(len(embeddings))) - set(main)
    outside |= {index for index in main if similarity[index] < needed and index not in sure and len(main) > 1}
    return Persons(
        similarity=tuple(round(float(value), 3) for value in similarity),
        strangers=frozenset(outside),
        people=len(groups),
        mixed=len(groups) > 1 and 2 * len(main) <= len(embeddings),
        needed=round(needed, 3),
        centre=_unit(embeddings[sorted(set(range(len(embeddings))) - outside) or main].sum(axis=0)),
    )


def people(embeddings: np.ndarray, same_person_above: float) -> list[list[int]]:
    """Indices gathered into people, the largest group first, of equals the one with the first photo.

    Agglomerative clustering with average linkage: the two groups whose members are most alike on average become one,
    until no two are alike enough. A mean over many pairs is asked for a little more, up to `OF_LARGER`.
    """
    groups = {index: [index] for index in range(len(embeddings))}
    among = (embeddings @ embeddings.T).astype(float)
    np.fill_diagonal(among, -np.inf)
    while len(groups) > 1:
        sizes_of = np.array([len(groups.get(index, ())) or 1 for index in range(len(among))])
        sure = among - OF_LARGER * (1 - 1 / np.sqrt(np.outer(sizes_of, sizes_of)))
        one, other = sorted(divmod(int(np.argmax(sure)), len(among)))
        if sure[one, other] < same_person_above:
            break
        sizes = len(groups[one]), len(groups[other])
        merged = (sizes[0] * among[one] + sizes[1] * among[other]) / sum(sizes)
        among[one], among[:, one] = merged, merged
        among[other], among[:, other] = -np.inf, -np.inf
        among[one, one] = -np.inf
        groups[one] += groups.pop(other)
    return sorted((sorted(group) for group in groups.values()), key=lambda group: (-len(group), group[0]))


def to_members(embeddings: np.ndarray, members: list[int]) -> np.ndarray:
    """Each photo against the mean of `members` without itself: (n,); a lone member against itself."""
    total = embeddings[members].sum(axis=0)
    inside = np.isin(np.arange(len(embeddings)), members)
    others = np.where(inside[:, None] & (len(members) > 1), total - embeddings, total)
    return np.array([float(row @ _unit(other)) for row, other in zip(embeddings, others, strict=True)])


def centre(embeddings: np.ndarray) -> np.ndarray:
    """The person: mean of the photos (n, d), outliers left out: float32 (d,), L2 norm 1. n is at least 1."""
    if len(embeddings) < FEWEST_TO_JUDGE:
        return _unit(embeddings.sum(axis=0))
    similarity = to_members(embeddings, _core(embeddings))
    return _unit(embeddings[similarity >= _needed(similarity, -1.0)].sum(axis=0))


def _meant(groups: list[list[int]], sure: Collection[int]) -> list[int]:
    """The group with most of the photos that the user vouched for, of equals the largest."""
    return max(groups, key=lambda group: len(set(group).intersection(sure)))


def _core(embeddings: np.ndarray) -> list[int]:
    """Indices of the larger half, nearest to the photo that has the highest median similarity to all."""
    among = embeddings @ embeddings.T
    middle = int(np.argmax(np.median(among, axis=1)))
    nearest: list[int] = np.argsort(-among[middle], kind="stable")[: len(embeddings) // 2 + 1].tolist()
    return nearest


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
