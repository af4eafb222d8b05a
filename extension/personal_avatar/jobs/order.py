"""Who is next: the highest priority, and within one priority the users in turn.

A user's turn begins when the user's oldest waiting job was asked for, or when a job of the user was last taken,
whichever is later. So nobody waits for all the jobs of somebody else, nobody is overtaken for ever by users who come
anew, and the jobs of a single user run in the order in which they were asked for.
"""
from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

Turn = tuple[int, float]
LONG_AGO_S = 1e11


class Waiting(NamedTuple):
    """A job that waits, older ones first."""

    created_at: float
    id: str
    user_id: str
    priority: int

    def known_at(self, now: float) -> Waiting:
        """What was asked for at a time that has not come, by a clock that was wrong, comes before all others: they
        could pass it until then."""
        return self if self.created_at <= now else self._replace(created_at=self.created_at - LONG_AGO_S)


def in_turn(waiting: Iterable[Waiting], taken: Mapping[str, float]) -> list[str]:
    """Ids in the order in which the jobs will be taken, when none comes. `taken`: user -> when a job of theirs was last
    taken (Unix seconds)."""
    turns: dict[str, Turn] = {user: (0, at) for user, at in taken.items()}
    levels: defaultdict[int, list[Waiting]] = defaultdict(list)
    for job in waiting:
        levels[job.priority].append(job)
    order: list[str] = []
    for priority in sorted(levels, reverse=True):
        for job in _one_level(levels[priority], turns):
            turns[job.user_id] = (1, len(order))
            order.append(job.id)
    return order


def _one_level(jobs: list[Waiting], turns: Mapping[str, Turn]) -> Iterable[Waiting]:
    """Jobs of one priority; `turns` is brought up to date by whoever takes them."""
    lines: defaultdict[str, deque[Waiting]] = defaultdict(deque)
    for job in sorted(jobs):
        lines[job.user_id].append(job)
    heads = [_head(line, turns) for line in lines.values()]
    heapq.heapify(heads)
    while heads:
        _, job = heapq.heappop(heads)
        yield job
        line = lines[job.user_id]
        line.popleft()
        if line:
            heapq.heappush(heads, _head(line, turns))


def _head(line: deque[Waiting], turns: Mapping[str, Turn]) -> tuple[Turn, Waiting]:
    first = line[0]
    return max(turns.get(first.user_id, (0, 0.0)), (0, first.created_at)), first
