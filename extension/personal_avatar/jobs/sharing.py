"""A picture comes first: jobs in processes of their own give the graphics card away while the host makes one.

The wish lies in the job's folder and is heeded between two steps; `Parked` is the answer. Whoever asks withdraws the
wish in the end, and a job forgets wishes of processes that are gone, so that none waits for ever.
"""
from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from personal_avatar.errors import AvatarError
from personal_avatar.jobs.control import Control
from personal_avatar.jobs.neighbours import Neighbour, Neighbourhood

TIMEOUT_S = 60.0
ON_PROCESSOR_S = 10.0  # nobody runs out of memory there because a step takes long
GRACE_S = 1.5  # whoever clicks again within it finds the card still free
LOOK_S = 0.1
POLL_S = 0.02
AGAIN_S = 1.0  # after something that failed
log = logging.getLogger(__name__)


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Answer:
    """Ids of the jobs that were `asked`, and of those that have `parked`."""

    asked: tuple[str, ...] = ()
    parked: tuple[str, ...] = ()


@contextmanager
def yielded(
    neighbourhood: Neighbourhood, timeout_s: float = TIMEOUT_S, crowded: Callable[[], bool] = lambda: True
) -> Iterator[Answer]:
    """The jobs of other processes are parked for the block; one that does not answer in time works on beside it.

    Nobody is asked where it is not `crowded`; that is looked at only when there are such jobs.
    """
    asked = Asked(neighbourhood)
    try:
        if neighbourhood.views() and crowded():
            asked.ask()
        yield asked.wait(timeout_s)
    finally:
        asked.withdraw()


class Asked:
    """The jobs that were asked, until `withdraw`."""

    def __init__(self, neighbourhood: Neighbourhood) -> None:
        self._neighbourhood = neighbourhood
        self._neighbours: dict[str, Neighbour] = {}

    def ask(self) -> None:
        """Ask those that run now and were not asked yet."""
        for view in self._neighbourhood.views():
            if view.job.id in self._neighbours:
                continue
            try:
                self._neighbours[view.job.id] = self._neighbourhood.asked(view)
            except (OSError, AvatarError) as error:
                log.warning("The job %s cannot be asked for the graphics card: %s", view.job.id, error)

    def wait(self, timeout_s: float, given_up: Callable[[], bool] = _never) -> Answer:
        """Wait until all that will answer have parked, at most `timeout_s`, and not when the caller has `given_up`."""
        began = time.monotonic()
        while awaited := [(name, one) for name, one in self._known() if one.is_awaited()]:
            if given_up():
                break
            if time.monotonic() - began >= timeout_s:
                for name, one in awaited:
                    one.late = True
                    log.warning("%s kept the graphics card for %.0f s; the picture is made beside it.", name, timeout_s)
                break
            time.sleep(POLL_S)
        known = self._known()
        parked = tuple(name for name, one in known if one.parked)
        return Answer(tuple(name for name, _ in known), parked)

    def withdraw(self) -> None:
        """The jobs go on, unless somebody else asks too."""
        for one in self._neighbours.values():
            Control.leave(one.asker)
        self._neighbours = {}

    def __bool__(self) -> bool:
        return bool(self._neighbours)

    def _known(self) -> list[tuple[str, Neighbour]]:
        return list(self._neighbours.items())


class Guest:
    """A host whose work has a beginning that it tells of, and an end that can only be seen.

    From the beginning until `grace_s` after the host is no longer `busy`, jobs of other processes stay parked. So no
    failure, no interrupt and no closed page leaves one parked. `before_leaving`: called before they go on; they wait
    longer while it returns False. It is called at the end, too, when nobody was asked, where the host `has_to_leave`.
    """

    def __init__(
        self, neighbourhood: Callable[[], Neighbourhood], busy: Callable[[], bool], grace_s: float = GRACE_S,
        before_leaving: Callable[[], bool] = lambda: True, has_to_leave: Callable[[], bool] = _never,
    ) -> None:
        self._neighbourhood, self._busy, self._grace_s = neighbourhood, busy, grace_s
        self._before_leaving, self._has_to_leave = before_leaving, has_to_leave
        self._lock = threading.Lock()
        self._asked: Asked | None = None
        self._watch: threading.Thread | None = None
        self._seen_s = 0.0
        self._stays = 0

    def come(
        self, crowded: Callable[[], bool], timeout_s: float = TIMEOUT_S, given_up: Callable[[], bool] = _never
    ) -> Answer:
        """Ask for the card when jobs run that hold it and it is `crowded`; returns when they have parked."""
        with self._lock:
            self._seen_s = time.monotonic()
            neighbourhood = self._neighbourhood()
            asked = Asked(neighbourhood) if self._asked is None else self._asked
            if asked or (neighbourhood.views() and crowded()):
                asked.ask()
            if not asked and not self._has_to_leave():
                return Answer()
            self._asked = asked
            if self._watch is None or not self._watch.is_alive():
                self._watch = threading.Thread(target=self._stay, name="avatar-sharing", daemon=True)
                self._watch.start()
        return asked.wait(timeout_s, given_up)

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Several pictures follow each other: once they have parked, jobs do not go on between them."""
        with self._lock:
            self._stays += 1
        try:
            yield
        finally:
            with self._lock:
                self._stays -= 1
                self._seen_s = time.monotonic()

    def _stay(self) -> None:
        """Until the jobs go on; nothing that fails meanwhile leaves them parked."""
        while True:
            try:
                if self._left():
                    return
                pause_s = LOOK_S
            except Exception:
                log.exception("The jobs that are parked could not be looked after")
                pause_s = AGAIN_S
            time.sleep(pause_s)

    def _left(self) -> bool:
        busy = self._is_busy()
        with self._lock:
            if busy or self._stays:
                self._seen_s = time.monotonic()
            if time.monotonic() - self._seen_s < self._grace_s or self._asked is None or not self._may_leave():
                return False
            self._asked.withdraw()
            self._asked = self._watch = None
            return True

    def _is_busy(self) -> bool:
        try:
            return self._busy()
        except Exception:  # whatever it is, no job shall wait for ever
            log.exception("Whether the host makes pictures could not be seen")
            return False

    def _may_leave(self) -> bool:
        try:
            return self._before_leaving()
        except Exception:  # whatever it is, no job shall wait for ever
            log.exception("What precedes the leaving of the graphics card failed")
            return True
