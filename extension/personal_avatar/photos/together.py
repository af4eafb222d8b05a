"""Several photos at a time: decoding, networks and scaling release Python's lock, so that threads use all cores."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

MOST = 4  # each takes some copies of a photo in memory
Item = TypeVar("Item")
Made = TypeVar("Made")


def cores() -> int:
    """How many photos to work on at a time: OMP_NUM_THREADS when it is set, else one a core; at most `MOST`."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(MOST, int(wanted) if wanted.isdigit() and int(wanted) > 0 else os.cpu_count() or 1)


def each(work: Callable[[Item], Made], items: Iterable[Item], at_once: int) -> Iterator[Made]:
    """`work` of every item, in their order. What it raises is raised here when its turn comes; after that, and when
    nobody wants more, no other one is begun."""
    if at_once <= 1:
        yield from map(work, items)
        return
    pool = ThreadPoolExecutor(at_once, "photos")
    try:
        yield from pool.map(work, items)
    finally:
        pool.shutdown(cancel_futures=True)
