"""Threads that run jobs, in lanes by kind. A lane with nothing to do ends, and begins anew with the next job."""
from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from personal_avatar.jobs.store import Job

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """A job that was claimed for us, or None; `left`: whether others of its kind still have to be looked after."""

    job: Job | None
    left: bool


class Lanes:
    """`take` claims the next job of a kind, `run` runs it, `width` says how many at the same time; `idle_s`: how long a
    thread waits before it looks again. No failure of any of them ends a thread that still has work."""

    def __init__(
        self, take: Callable[[str], Taken], run: Callable[[Job], None], width: Callable[[str], int],
        idle_s: Callable[[], float],
    ) -> None:
        self._take, self._run, self._width, self._idle_s = take, run, width, idle_s
        self._changed = threading.Condition()
        self._changes = 0
        self._threads: dict[str, list[threading.Thread]] = {}

    def __bool__(self) -> bool:
        return bool(self._threads)

    def start(self, kind: str) -> None:
        """Make sure that a thread looks after the jobs of this kind; one more as long as there may be more."""
        with self._changed:
            threads = [thread for thread in self._threads.get(kind, []) if thread.is_alive()]
            if len(threads) < max(1, self._width(kind)):
                thread = threading.Thread(target=self._work, args=(kind,), name=f"avatar-{kind}", daemon=True)
                threads.append(thread)
                thread.start()
            self._threads[kind] = threads
            self._tell()

    def wake(self) -> None:
        """Something has changed: look again."""
        with self._changed:
            self._tell()

    def _tell(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _work(self, kind: str) -> None:
        while (job := self._await(kind)) is not None:
            try:
                self._run(job)
            except Exception:  # the border: a job that cannot even be failed must not keep the others from running
                log.exception("The job %s could not be brought to an end now.", job.id)
            self.wake()

    def _await(self, kind: str) -> Job | None:
        """The next job of this kind, claimed for us; None when nothing is left to do, which ends the thread.

        Taken without the lock, as that may last; a job that is submitted meanwhile counts as a change, and is looked
        for before the thread rests or ends.
        """
        while True:
            with self._changed:
                seen = self._changes
            taken = self._looked(kind)
            if taken.job is not None:
                return taken.job
            with self._changed:
                if self._changes != seen:
                    continue
                if not taken.left:
                    self._leave(kind)
                    return None
                self._changed.wait(timeout=self._idle_s())

    def _looked(self, kind: str) -> Taken:
        try:
            return self._take(kind)
        except Exception as error:  # noqa: BLE001  a damaged folder, a full disk: it may be mended
            log.warning("The jobs cannot be read or claimed now: %s", error)
            return Taken(None, True)

    def _leave(self, kind: str) -> None:
        others = [thread for thread in self._threads.get(kind, []) if thread is not threading.current_thread()]
        if others:
            self._threads[kind] = others
        else:
            self._threads.pop(kind, None)
