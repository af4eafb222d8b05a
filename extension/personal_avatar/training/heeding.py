"""What the user and the host want of a training meanwhile: cancel, pause, give the graphics card away for a while."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from personal_avatar.errors import Cancelled
from personal_avatar.jobs.control import CANCEL, DISCARD, PAUSE, Control, PauseTaken
from personal_avatar.jobs.events import EventWriter, Failed, Log, Paused, failure
from personal_avatar.training import storing
from personal_avatar.training.parking import Parking, Tensors
from personal_avatar.wording import text

LOOK_S = 1.0  # how often somebody looks for wishes while the work cannot


@contextmanager
def telling_what_was_kept(control: Control) -> Iterator[None]:
    """A `Cancelled` that comes out with nothing that was kept says so, where it was to be kept."""
    try:
        yield
    except Cancelled as error:
        if error.result is None and not control.asked(DISCARD):
            error.hint = text("jobs.keptnothing")
        raise


@dataclass
class Wishes:
    """Of one job; `heed` is called wherever the work can be interrupted.

    `pause_at(between_steps)`: the step from which the work can be taken up if it ends here, None if it cannot end yet.
    `keeps`: what an earlier process trained has to be published before a cancel may end the work.
    """

    control: Control
    emit: EventWriter
    folder: Path  # of the state
    pause_at: Callable[[bool], int | None] = field(init=False)
    parking: Parking = field(init=False)
    keeps: bool = field(init=False)

    def __post_init__(self) -> None:
        self.parking = Parking(self.control, self.emit)
        self.pause_at = self._before_training
        self.keeps = bool((storing.facts_of(self.folder) or {}).get("points"))

    def heed(self, between_steps: bool = False) -> None:
        """Raises `Cancelled` and `PauseTaken`; returns when nobody wants the graphics card."""
        self._check(between_steps)
        self.parking.heed(lambda: self._check(between_steps))

    def _check(self, between_steps: bool) -> None:
        if not self.keeps or self.control.asked(DISCARD):
            self.control.check()
        if not self.control.asked(PAUSE):
            return
        step = self.pause_at(between_steps)
        if step is not None:
            raise PauseTaken(step)

    @contextmanager
    def ending_at_once(self, end: Callable[[int], object] = os._exit) -> Iterator[None]:
        """Within, the process has done nothing new, and cannot be interrupted where it is: a wish to pause or to cancel
        ends it from a thread. `end`: how, after its last word."""
        over, turn = threading.Event(), threading.Lock()

        def watch() -> None:
            while not over.wait(LOOK_S):
                with turn:
                    word = None if over.is_set() else self._last_word()
                    if word is not None:
                        self.emit(word)
                        end(int(isinstance(word, Failed)))
                        return

        threading.Thread(target=watch, name="wishes", daemon=True).start()
        try:
            yield
        finally:
            with turn:
                over.set()

    def _last_word(self) -> Paused | Failed | None:
        """With which a process ends that has done nothing new; None when it need not. What an earlier one left is there
        to go on from, and is what a cancel keeps."""
        ends, keeps = self.control.asked(CANCEL), storing.facts_of(self.folder) is not None
        if ends and not (keeps and not self.control.asked(DISCARD)):
            try:
                with telling_what_was_kept(self.control):
                    self.control.check()
            except Cancelled as error:
                return failure(error)
        return Paused(self._before_training(False)) if ends or self.control.asked(PAUSE) else None

    def take_over(self, pause_at: Callable[[bool], int | None], tensors: Tensors) -> None:
        """The training has begun: it says where it can end, and has `tensors` besides the model's."""
        self.pause_at, self.keeps = pause_at, False
        self.parking.covers(tensors)

    def never_pause(self) -> None:
        """For an engine that cannot: the wish stays, and is answered once."""
        told: list[bool] = []

        def answer(between_steps: bool) -> None:
            if not told:
                told.append(True)
                self.emit(Log(text("log.no_pause")))

        self.pause_at, self.keeps = answer, False

    def _before_training(self, between_steps: bool) -> int:
        """Nothing new has been done: what an earlier process left is still there, if it left anything."""
        facts = storing.facts_of(self.folder)
        if facts is None:
            self.emit(Log(text("log.nothing_yet")))
            return 0
        return int(facts["step"])
