"""HTTP Basic with the names and passwords of the server that we are part of, compared in constant time.

Without postponed annotations: FastAPI cannot evaluate those of an object that is called.
"""
import secrets
from collections.abc import Callable

from fastapi import Depends
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.exceptions import HTTPException
from starlette.requests import Request

Credentials = Callable[[], dict[str, str]]
SCHEME = HTTPBasic(auto_error=False)
_given = Depends(SCHEME)


class Guard:
    """Refuses (401) who does not know a name and its password; open while there are none.

    A dependency, by which the OpenAPI document tells of it. FastAPI asks dependencies when it has read the body, so our
    routes ask `before_body` first.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, given: HTTPBasicCredentials | None = _given) -> None:
        known = self._credentials()
        if known and not _matches(known, given):
            raise HTTPException(401, "A name and its password are wanted.", {"WWW-Authenticate": "Basic"})

    async def before_body(self, request: Request) -> None:
        """Raises `HTTPException` as a call does."""
        self(await SCHEME(request))


def _matches(known: dict[str, str], given: HTTPBasicCredentials | None) -> bool:
    """Compares with every entry, so that the time taken tells nothing."""
    name, password = (given.username.encode(), given.password.encode()) if given else (b"", b"")
    found = False
    for known_name, known_password in known.items():
        right_name = secrets.compare_digest(name, known_name.encode())
        right_password = secrets.compare_digest(password, known_password.encode())
        found |= right_name and right_password
    return found and given is not None
