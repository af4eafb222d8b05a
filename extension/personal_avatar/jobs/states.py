"""The states of a job and the moves between them. A job ends exactly once.

Only one move leads out of an end: a failed job that left the state of its work can be taken up again, when a user asks
for it; it is the same job then, and ends anew.
"""
from __future__ import annotations

from enum import Enum

from personal_avatar.errors import WrongState


class State(str, Enum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, State.PAUSED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.PAUSED: frozenset({State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset(),
}
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
ACTIVE = frozenset(State) - ENDED
RESTING = ENDED | {State.PAUSED}  # nothing happens until somebody asks for it


def move(now: State, wanted: State) -> State:
    """`wanted` when the table allows it, else `WrongState`."""
    if wanted not in MOVES[now]:
        hint = "It has ended; start a new job." if now in ENDED else ""
        raise WrongState(f"A job that is {now.value} cannot become {wanted.value}.", hint)
    return wanted
