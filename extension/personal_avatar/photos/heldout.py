"""Which photos are kept out of the training, so that likeness can be measured on photos that were not learned."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence

SHARE = 0.2
FEWEST_PHOTOS = 6
FEWEST_FOR_THREE = 12


def how_many(photos: int, share: float = SHARE) -> int:
    """None of fewer than 6 photos or with share 0, else at least 2, so that they can be compared with each other; at
    least 3 of 12 and more; never more than a third."""
    if photos < FEWEST_PHOTOS or share <= 0:
        return 0
    return min(max(round(photos * share), 3 if photos >= FEWEST_FOR_THREE else 2), photos // 3)


def held_out(sha256s: Sequence[str], share: float = SHARE, seed: int = 0) -> frozenset[str]:
    """The hashes of the photos to keep out: the same for the same photos, in whatever order they come."""
    different = set(sha256s)
    drawn = sorted(different, key=lambda sha256: _lot(sha256, seed))
    return frozenset(drawn[: how_many(len(different), share)])


def _lot(sha256: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()
