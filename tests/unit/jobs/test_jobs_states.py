"""The table of states: whatever is tried, a job ends exactly once and every move is one of the table's."""
from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from personal_avatar.errors import Crashed, WrongState
from personal_avatar.jobs.states import ACTIVE, ENDED, MOVES, State, move
from personal_avatar.jobs.store import JobStore

LABELS = {"title": "t", "user_id": "u", "avatar_id": "a"}


@pytest.mark.parametrize("now", list(State))
@pytest.mark.parametrize("wanted", list(State))
def test_a_move_does_what_was_asked_or_raises(now: State, wanted: State) -> None:
    if wanted in MOVES[now]:
        assert move(now, wanted) is wanted
    else:
        with pytest.raises(WrongState, match=f"{now.value} cannot become {wanted.value}"):
            move(now, wanted)


def test_every_state_can_come_to_an_end() -> None:
    assert {State.SUCCEEDED, State.FAILED, State.CANCELLED} == ENDED
    assert set(State) - ENDED == ACTIVE
    for state in ACTIVE:
        assert MOVES[state] & ENDED


def test_only_what_failed_can_be_taken_up_again() -> None:
    assert {state: MOVES[state] for state in ENDED if MOVES[state]} == {State.FAILED: {State.QUEUED}}


class JobMachine(RuleBasedStateMachine):
    """Random moves, failures and re-openings of one job on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = JobStore(Path(self.folder.name))
        self.id = self.store.create("train", {}, **LABELS).id
        self.path = [State.QUEUED]

    def teardown(self) -> None:
        self.folder.cleanup()

    @property
    def now(self) -> State:
        return self.path[-1]

    @rule(wanted=st.sampled_from(list(State)))
    def moves(self, wanted: State) -> None:
        again = {"ended_at": None, "error": None} if self.now in ENDED else {}
        if wanted in MOVES[self.now]:
            assert self.store.move(self.id, wanted, **again).state is wanted
            self.path.append(wanted)
        else:
            with pytest.raises(WrongState):
                self.store.move(self.id, wanted)

    @rule(state=st.sampled_from([State.FAILED, State.CANCELLED]))
    def fails(self, state: State) -> None:
        """Failing never raises, and changes nothing that has ended."""
        self.store.fail(self.id, Crashed("broken"), state)
        if self.now in ACTIVE:
            self.path.append(state)

    @rule()
    def is_deleted_only_when_it_has_ended(self) -> None:
        if self.now in ACTIVE:
            with pytest.raises(WrongState):
                self.store.delete(self.id)

    @rule()
    def is_opened_again(self) -> None:
        self.store = JobStore(Path(self.folder.name))

    @invariant()
    def disk_tells_the_same(self) -> None:
        assert self.store.status(self.id).state is self.now

    @invariant()
    def it_ends_at_most_once(self) -> None:
        """Unless a failed job is taken up again, which makes it an active one."""
        for before, after in pairwise(self.path):
            assert before not in ENDED or (before, after) == (State.FAILED, State.QUEUED)
        assert (self.store.status(self.id).ended_at is not None) == (self.now in ENDED)


TestJob = JobMachine.TestCase
TestJob.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
