"""Work for what a browser has laid out: each kind in a thread of its own, seen by every refresh of the page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from personal_avatar.errors import WrongState
from personal_avatar.ui.refusal import Refusal, failed_here

Progress = Callable[[int, int], None]
Work = Callable[[Progress], None]
CHECK, JUDGE, CUT, CAPTION = "check", "judge", "cut", "caption"


@dataclass(frozen=True)
class Working:
    """Work that goes on now: `done` of `total` photos."""

    done: int
    total: int


class Workshop:
    """What goes on, and why the last work of a kind ended early; both by (browser, kind)."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str], Working] = {}
        self._errors: dict[tuple[str, str], dict[str, str]] = {}
        self._lock = threading.Lock()

    def now(self, key: str, kind: str) -> Working | None:
        return self._running.get((key, kind))

    def busy(self, key: str) -> bool:
        """Whether anything goes on for a browser."""
        return any(owner == key for owner, _ in tuple(self._running))

    def error(self, key: str, kind: str) -> dict[str, str] | None:
        """As `AvatarError.to_json` writes it; None while the work goes on, and when it ended well."""
        return self._errors.get((key, kind))

    def forget(self, key: str) -> None:
        """No errors any more."""
        for owned in [owned for owned in tuple(self._errors) if owned[0] == key]:
            self._errors.pop(owned, None)

    def fail(self, key: str, kind: str, error: dict[str, str]) -> None:
        """Remember why work that went on elsewhere ended early."""
        self._errors[key, kind] = error

    def start(
        self, key: str, kind: str, total: int, work: Work, before: Callable[[], None] | None = None
    ) -> threading.Thread:
        """Do `before` at once and `work` in a thread; `work` gets what it tells its progress to.

        Raises `WrongState` while the same goes on, and what `before` raises.
        """
        self._begin((key, kind), total)
        try:
            if before is not None:
                before()
            thread = threading.Thread(target=self._run, args=((key, kind), work), name=f"avatar-{kind}", daemon=True)
            thread.start()
        except BaseException:
            self._running.pop((key, kind), None)
            raise
        return thread

    def _begin(self, owned: tuple[str, str], total: int) -> None:
        with self._lock:
            if owned in self._running:
                raise Refusal(WrongState, "working")
            self._running[owned] = Working(0, total)
            self._errors.pop(owned, None)

    def _run(self, owned: tuple[str, str], work: Work) -> None:
        def progress(done: int, total: int) -> None:
            self._running[owned] = Working(done, total)

        try:
            work(progress)
        except Exception as error:  # noqa: BLE001  the border: work that fails is named in the panel
            self._errors[owned] = failed_here(error).to_json()
        finally:
            self._running.pop(owned, None)
