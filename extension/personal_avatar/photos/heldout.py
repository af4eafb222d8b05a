"""Which photos are kept out of the training, so that likeness can be measured on photos that were not learned."""
from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

SHARE = 0.2
ONE_OF = 3  # photos is held out, at most
FEWEST_PHOTOS = 6
FEWEST_FOR_THREE = 12
LEAST_GAIN = 1e-9  # for which photos are exchanged


def how_many(photos: int, share: float = SHARE) -> int:
    """None of fewer than 6 photos or with share 0, else at least 2, so that they can be compared with each other; at
    least 3 of 12 and more; never more than a third."""
    if photos < FEWEST_PHOTOS or share <= 0:
        return 0
    return min(max(round(photos * share), 3 if photos >= FEWEST_FOR_THREE else 2), photos // ONE_OF)


def held_out(
    sha256s: Sequence[str], share: float = SHARE, seed: int = 0, faces: Mapping[str, np.ndarray] | None = None,
    twins: Mapping[str, str] | None = None,
) -> frozenset[str]:
    """The hashes of the photos to keep out: the same for the same photos, in whatever order they come.

    `faces`: embeddings (d,) by hash. Where every photo has one, those are kept out that look together as all of them
    do. A few photos drawn by lot may be much alike, or unlike the others, and would decide what a training reached.
    `twins`: by hash of a photo that shows the same as others, what it has in common with them: they are kept out
    together or not at all. There may be fewer kept out so, and none where all of them would show the same.
    """
    alike: dict[str, list[str]] = {}
    for sha256 in sorted(set(sha256s)):
        alike.setdefault((twins or {}).get(sha256, sha256), []).append(sha256)
    groups = sorted(alike.values(), key=lambda group: _lot(group[0], seed))
    sizes = [len(group) for group in groups]
    rows = _drawn(sizes, how_many(sum(sizes), share))
    if rows and faces is not None and faces.keys() >= {group[0] for group in groups}:
        rows = _like_all(np.stack([faces[group[0]] for group in groups]), np.array(sizes), rows)
    return frozenset(sha256 for row in rows for sha256 in groups[row])


def _drawn(sizes: Sequence[int], count: int) -> list[int]:
    """The first groups of such sizes that have together at most `count` photos; none alone, which can be compared with
    no other."""
    rows: list[int] = []
    left = count
    for row, size in enumerate(sizes):
        if size <= min(left, count - 1):
            rows.append(row)
            left -= size
    return rows if len(rows) > 1 else []


def _like_all(vectors: np.ndarray, sizes: np.ndarray, drawn: Sequence[int]) -> list[int]:
    """As many rows of (n, d) whose mean is near that of all: from those `drawn` on, the one is exchanged for another of
    its size that brings it nearest, as long as that helps."""
    away = vectors - vectors.mean(axis=0)
    products = away @ away.T
    lengths = np.diag(products)
    chosen, others = list(drawn), [row for row in range(len(vectors)) if row not in drawn]
    while True:
        along = products[chosen].sum(axis=0)  # of each row, along the sum of the chosen ones
        gained = 2 * (along[others][None] - along[chosen][:, None])
        moved = lengths[others][None] + lengths[chosen][:, None] - 2 * products[np.ix_(chosen, others)]
        longer = gained + moved  # the squared length of that sum becomes, by each exchange
        longer[sizes[chosen][:, None] != sizes[others][None]] = np.inf
        row, column = np.unravel_index(np.argmin(longer), longer.shape)
        if longer[row, column] > -LEAST_GAIN:
            return chosen
        chosen[row], others[column] = others[column], chosen[row]


def _lot(sha256: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()
