"""What the index of jobs holds: a row a job, the table in SQL, and what can be wished for."""
from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from typing import Any

from personal_avatar.jobs.states import ACTIVE, State

FORMAT = 6


@dataclass(frozen=True)
class Row:
    """A job in the table. `status` and `account` are JSON; `alike` and `work`: see history.Effort. The stamps say which
    state of the files was read: size, time and number of each, "" for one that must be read again."""

    id: str
    kind: str
    title: str
    user_id: str
    avatar_id: str
    request_key: str
    priority: int
    created_at: float
    state: str
    taken_at: float
    ended_at: float
    alike: str
    work: float
    damaged: int
    status: str
    account: str
    status_stamp: str
    events_stamp: str


@dataclass(frozen=True)
class Wish:
    """Which jobs; newest first. `before`: only those after this place (created_at, id) in the list."""

    user_id: str | None = None
    states: frozenset[State] | None = None
    kind: str | None = None
    request_key: str | None = None
    avatar_id: str | None = None
    limit: int | None = None
    before: tuple[float, str] | None = None
    damaged: bool = False

    def where(self) -> tuple[str, list[Any]]:
        """The condition in SQL, and its values."""
        parts: list[tuple[str, list[Any]]] = [("1", [])]
        for name in ("user_id", "kind", "request_key", "avatar_id"):
            if getattr(self, name) is not None:
                parts.append((f"{name} = ?", [getattr(self, name)]))
        if self.states is not None:
            names = sorted(state.value for state in self.states)
            parts.append((f"state IN ({', '.join('?' * len(names))})", names))
        if self.before is not None:
            parts.append(("(created_at, id) < (?, ?)", list(self.before)))
        if self.damaged:
            parts.append(("damaged", []))
        return " AND ".join(part for part, _ in parts), [value for _, values in parts for value in values]


NAMES = tuple(field.name for field in fields(Row))
_TYPES = {"str": "TEXT", "int": "INTEGER", "float": "REAL"}
_COLUMNS = ", ".join(f"{field.name} {_TYPES[str(field.type)]} NOT NULL" for field in fields(Row))
UNENDED = "state IN ('" + "', '".join(sorted(state.value for state in ACTIVE)) + "')"
SCHEMA = (
    f"CREATE TABLE jobs ({_COLUMNS}, sum INTEGER NOT NULL, PRIMARY KEY (id)) WITHOUT ROWID",
    "CREATE INDEX by_age ON jobs (created_at, id, state, kind, user_id)",
    "CREATE INDEX by_user ON jobs (user_id, created_at, id, state, kind)",
    "CREATE INDEX by_state ON jobs (state, kind, created_at, id, user_id)",
    "CREATE INDEX by_kind ON jobs (kind, created_at, id, state, user_id)",
    "CREATE INDEX by_request ON jobs (request_key, created_at, id)",
    "CREATE INDEX by_avatar ON jobs (avatar_id, created_at, id, state, kind, user_id)",
    f"CREATE INDEX unended ON jobs (id, status_stamp, events_stamp) WHERE {UNENDED}",
    "CREATE INDEX by_damage ON jobs (damaged) WHERE damaged",
    "CREATE INDEX by_taken ON jobs (kind, user_id, taken_at)",
    "CREATE INDEX by_likeness ON jobs (kind, alike, state, ended_at)",
    f"PRAGMA user_version = {FORMAT}",
)
ORDER = "ORDER BY created_at DESC, id DESC"
PUT = f"INSERT OR REPLACE INTO jobs VALUES ({', '.join('?' * (len(NAMES) + 1))})"


def row_of(values: tuple[Any, ...]) -> Row:
    """Raises `ValueError` for a row that is not as it was written."""
    if sum_of(values[:-1]) != values[-1]:
        raise ValueError("a row of the index is damaged")
    return Row(*values[:-1])


def sum_of(values: tuple[Any, ...]) -> int:
    """By which damage is seen."""
    return zlib.crc32(repr(values).encode("utf-8", "backslashreplace"))
