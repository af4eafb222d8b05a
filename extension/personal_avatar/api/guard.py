"""HTTP Basic with the names and passwords of the server that we are part of, compared in constant time."""
from __future__ import annotations

import secrets
from collections.abc import Callable

from fastapi import Depends
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.exceptions import HTTPException

Credentials = Callable[[], dict[str, str]]
_given = Depends(HTTPBasic(auto_error=False))


def guard(credentials: Credentials) -> Callable[..., None]:
    """A dependency that refuses (401) who does not know a name and its password; open while there are none."""

    def check(given: HTTPBasicCredentials | None = _given) -> None:
        known = credentials()
        if known and not _matches(known, given):
            raise HTTPException(401, "A name and its password are wanted.", {"WWW-Authenticate": "Basic"})

    return check


def _matches(known: dict[str, str], given: HTTPBasicCredentials | None) -> bool:
    """Compares with every entry, so that the time taken tells nothing."""
    name, password = (given.username.encode(), given.password.encode()) if given else (b"", b"")
    found = False
    for known_name, known_password in known.items():
        right_name = secrets.compare_digest(name, known_name.encode())
        right_password = secrets.compare_digest(password, known_password.encode())
        found |= right_name and right_password
    return found and given is not None
