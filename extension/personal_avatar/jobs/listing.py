"""Jobs as they are shown: where they stand, who waits where, and how long everything will take."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from personal_avatar.errors import AvatarError
from personal_avatar.jobs import process, watching
from personal_avatar.jobs.account import Account
from personal_avatar.jobs.catalogue import Catalogue
from personal_avatar.jobs.files import JobFiles, account_of, rest_of, status_of
from personal_avatar.jobs.history import RUNS, History
from personal_avatar.jobs.job import HALTED, SILENT, Job, JobView, Status
from personal_avatar.jobs.order import Waiting, in_turn
from personal_avatar.jobs.rows import Row, Wish
from personal_avatar.jobs.states import ACTIVE, State

LINE_S = 1.0
CLOCK_S = 60.0  # a time that lies farther ahead is of a clock that was wrong
_WAITING = "SELECT created_at, id, user_id, priority, kind, alike, work FROM jobs WHERE kind = ? AND state = 'queued'"
_TAKEN = "SELECT user_id, MAX(taken_at) FROM jobs WHERE kind = ? AND taken_at <= ? GROUP BY user_id"
_RUNS = (
    "SELECT work, account FROM jobs WHERE kind = ? AND alike = ? AND state = 'succeeded' ORDER BY ended_at DESC LIMIT ?"
)


class Place(NamedTuple):
    """In its line: 1 for the next; the seconds until it is taken, where all before it are known."""

    position: int = 0
    starts_in_s: float | None = None


class Line(NamedTuple):
    """Who waits for one kind, or for several that count as one, at one moment."""

    version: tuple[int, ...]
    at: float
    places: dict[str, Place]


Lines = dict[tuple[str, ...], Line]


class Listing:
    """Shows rows of the catalogue. Use one for one answer: what it has learned and counted is of that moment. `lines`:
    what others have counted; holds for a second, unless a job changes. `line_of`: kinds that wait in one line."""

    def __init__(
        self, catalogue: Catalogue, files: JobFiles, lines: Lines, line_of: Callable[[str], tuple[str, ...]]
    ) -> None:
        self._catalogue, self._files, self._lines, self._line_of = catalogue, files, lines, line_of
        self._history = History(self._runs)

    def views(self, rows: Iterable[Row]) -> list[JobView]:
        return [self.view(row) for row in rows]

    def view(self, row: Row) -> JobView:
        status, account = status_of(row), account_of(row)
        place = self._line(self._line_of(row.kind)).get(row.id, Place()) if status.state is State.QUEUED else Place()
        return JobView(
            self.job(row), status, account.stage, account.step, account.total_steps, account.loss,
            _rounded(self._eta_s(row, status, account, place)), account.likeness, place.position,
            self._files.result(row, account), _rounded(place.starts_in_s),
            account.parked and status.state is State.RUNNING, account.done,
            *self._life(status, account),
            past_loop=account.total_steps > 0 and account.loop_stage != account.stage,
            within=account.within,
        )

    def _life(self, status: Status, account: Account) -> tuple[float | None, str]:
        """Seconds since a running job was last heard of, and why it stands still; one that is parked has reason to."""
        if status.state is not State.RUNNING:
            return None, ""
        heard = [at for at in (account.heard_at, status.taken_at) if at is not None]
        silent_s = max(0.0, round(self._history.now - max(heard), 1)) if heard else None
        if process.stopped(status.pid_here, status.pid_started_at):
            return silent_s, HALTED
        long = silent_s is not None and silent_s > watching.patience_s(account.stage) and not account.parked
        return silent_s, SILENT if long else ""

    def job(self, row: Row) -> Job:
        """What was asked for; what is left of it when that was damaged."""
        try:
            return self._files.job(row.id)
        except AvatarError:
            return rest_of(row.id, row, self._catalogue.path(row.id))

    def _eta_s(self, row: Row, status: Status, account: Account, place: Place) -> float | None:
        """Seconds until the job has ended, as far as that is known."""
        if status.state not in ACTIVE:
            return None
        learned = self._history.of(row.kind, row.alike)
        if status.state is not State.QUEUED:
            return learned.left_s(account, row.work, self._history.now)
        begun = account.starts or account.stage
        own = learned.left_s(account, row.work, self._history.now) if begun else learned.total_s(row.work)
        return None if own is None or place.starts_in_s is None else place.starts_in_s + own

    # -- who waits

    def _line(self, kinds: tuple[str, ...]) -> dict[str, Place]:
        version, now = self._catalogue.version(), self._history.now
        line = self._lines.get(kinds)
        if line is None or line.version != version or not 0 <= now - line.at <= LINE_S:
            line = self._lines[kinds] = Line(version, now, self._new_line(kinds))
        return line.places

    def _new_line(self, kinds: tuple[str, ...]) -> dict[str, Place]:
        waiting = {row[1]: row for kind in kinds for row in self._catalogue.query(_WAITING, [kind])}
        latest = self._history.now + CLOCK_S
        taken = self._taken(kinds, latest) if waiting else {}
        order = in_turn([Waiting(*row[:4]).known_at(latest) for row in waiting.values()], taken)
        ahead_s, lanes = self._ahead(kinds)
        places = {}
        for position, job_id in enumerate(order, start=1):
            places[job_id] = Place(position, None if ahead_s is None else ahead_s / lanes)
            kind, alike, work = waiting[job_id][4:]
            own_s = self._history.of(kind, alike).total_s(work)
            ahead_s = None if ahead_s is None or own_s is None else ahead_s + own_s
        return places

    def _taken(self, kinds: tuple[str, ...], latest: float) -> dict[str, float]:
        """User -> when a job of theirs was last taken."""
        found: dict[str, float] = {}
        for kind in kinds:
            for user_id, at in self._catalogue.query(_TAKEN, [kind, latest]):
                found[user_id] = max(at, found.get(user_id, at))
        return found

    def _ahead(self, kinds: tuple[str, ...]) -> tuple[float | None, int]:
        """Seconds that the running jobs of these kinds still take together, None when one is not known; their
        number."""
        running = frozenset({State.RUNNING})
        rows = [row for kind in kinds for row in self._catalogue.rows(Wish(kind=kind, states=running))]
        now = self._history.now
        left = [self._history.of(row.kind, row.alike).left_s(account_of(row), row.work, now) for row in rows]
        known = [seconds for seconds in left if seconds is not None]
        return (sum(known) if len(known) == len(left) else None), max(1, len(rows))

    def _runs(self, kind: str, alike: str) -> list[tuple[float, Account]]:
        if not alike:
            return []
        found = self._catalogue.query(_RUNS, [kind, alike, RUNS])
        return [(work, Account.from_text(account)) for work, account in found]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
