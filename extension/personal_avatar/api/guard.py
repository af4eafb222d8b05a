"""HTTP Basic with the names and passwords of the server that we are part of, compared in constant time.

Without postponed annotations: FastAPI cannot evaluate those of an object that is called.
"""
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from fastapi import Depends
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from starlette.exceptions import HTTPException
from starlette.requests import Request

SCHEME = HTTPBasic(auto_error=False)
PERSON = "personal_avatar.person"
_given = Depends(SCHEME)


@dataclass(frozen=True)
class Accounts:
    """Passwords by names. `services` act for every user of ours; each of `persons` only for the user of that name."""

    services: Mapping[str, str] = field(default_factory=dict)
    persons: Mapping[str, str] = field(default_factory=dict)


Credentials = Callable[[], Accounts]


class Guard:
    """Refuses (401) who does not know a name and its password; open while there are none.

    A dependency, by which the OpenAPI document tells of it. FastAPI asks dependencies when it has read the body, so our
    routes ask `before_body` first.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def __call__(self, given: HTTPBasicCredentials | None = _given) -> None:
        self._person(given)

    async def before_body(self, request: Request) -> None:
        """Notes in the request's scope who it is; raises `HTTPException` as a call does."""
        request.scope[PERSON] = self._person(await SCHEME(request))

    def _person(self, given: HTTPBasicCredentials | None) -> str:
        """The user for whom alone this caller may act; "" for whoever may act for all."""
        known = self._credentials()
        service, person = _matches(known.services, given), _matches(known.persons, given)
        if service or not (known.services or known.persons):
            return ""
        if person and given is not None:
            return given.username
        raise HTTPException(401, "A name and its password are wanted.", {"WWW-Authenticate": "Basic"})


def person_of(request: Request) -> str:
    """What a guard noted; "" where there was none."""
    return str(request.scope.get(PERSON, ""))


def _matches(known: Mapping[str, str], given: HTTPBasicCredentials | None) -> bool:
    """Compares with every entry, so that the time taken tells nothing."""
    name, password = (given.username.encode(), given.password.encode()) if given else (b"", b"")
    found = False
    for known_name, known_password in known.items():
        right_name = secrets.compare_digest(name, known_name.encode())
        right_password = secrets.compare_digest(password, known_password.encode())
        found |= right_name and right_password
    return found and given is not None
