"""Who may come in where there is no WebUI that asks: nobody who calls us by another's name, no pages of other sites,
nobody who would send us elsewhere, and where there are accounts nobody but those who have one.

The API asks for accounts by itself (api/guard.py). Browsers are asked by HTTP Basic, and known by a cookie afterwards,
as not all of them send a name and password with the connection by which the page hears of what goes on.
"""
from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from personal_avatar.api.guard import Accounts, Guard
from personal_avatar.api.origins import CrossSite, Origins
from personal_avatar.api.problems import answer
from personal_avatar.documents import API_PREFIX
from personal_avatar.errors import BadInput, InvalidSettings

PERSONS, SERVICES = "PERSONAL_AVATAR_AUTH", "PERSONAL_AVATAR_API_AUTH"
COOKIE = "personal_avatar_came_in"
CALLS = ("http", "websocket")
MOST_TOLD, LONGEST_NAME = 20, 253  # whoever calls chooses the name
ELSEWHERE = re.compile(r"/file[=/]\s*([a-z][a-z0-9+.-]+:|[/\\]{2})", re.IGNORECASE)  # one letter is a drive of Windows
log = logging.getLogger(__name__)


def accounts_from(persons: str, services: str, environment: Mapping[str, str]) -> Accounts:
    """Accounts from `name:password,name:password`, and where nothing is given from the variables PERSONAL_AVATAR_AUTH
    and PERSONAL_AVATAR_API_AUTH. Raises `InvalidSettings`, which tells no password."""
    return Accounts(
        persons=_pairs("--auth", persons or environment.get(PERSONS, "")),
        services=_pairs("--api-auth", services or environment.get(SERVICES, "")),
    )


def _pairs(option: str, text: str) -> dict[str, str]:
    found = [pair.strip().partition(":") for pair in text.split(",") if pair.strip()]
    if not all(name and password for name, _, password in found):
        raise InvalidSettings(f"{option} has a part that is not of the form name:password.")
    return {name: password for name, _, password in found}


class UnknownHost(BadInput):
    code, http_status = "UNKNOWN_HOST", 403


class OwnNames:
    """ASGI middleware: we are called by names of ours alone, so that no page reaches us through a name of its own."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app, self._names = app, frozenset(names)
        self._told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CALLS or (name := _name_in(scope)) in self._names:
            await self._app(scope, receive, send)
            return
        error = UnknownHost(f"This server is not known as {name[:LONGEST_NAME]!r}.")
        self._tell(error)
        await _turn_away(answer(error), scope, receive, send)

    def _tell(self, error: UnknownHost) -> None:
        if error.message in self._told or len(self._told) == MOST_TOLD:
            return
        self._told.add(error.message)
        log.warning("%s", error)
        if len(self._told) == MOST_TOLD:
            log.warning("What other names are refused is told no more.")


def _name_in(scope: Scope) -> str:
    """The name by which we are called, without a port."""
    return Headers(scope=scope).get("host", "").partition(":")[0].lower()


class OwnPages:
    """ASGI middleware: pages of other sites change nothing here, whoever has them open (api/origins.py)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._origins = app, Origins()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] in CALLS:
                self._origins.refuse_others(HTTPConnection(scope))
        except CrossSite as error:
            log.warning("%s", error)  # behind a proxy that hides the name, the page itself cannot tell
            await _turn_away(answer(error), scope, receive, send)
            return
        await self._app(scope, receive, send)


class NotOurFile(BadInput):
    code, http_status = "NOT_OUR_FILE", 403


class OwnFiles:
    """ASGI middleware: nobody makes us ask another machine. gradio does so for each file that is named by an address,
    and answers nothing else until that one has answered, which it never does where it is our own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and ELSEWHERE.match(scope["path"]):
            await answer(NotOurFile("Only files of this page are given out here."))(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _turn_away(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await answer(scope, receive, send)


class Door:
    """ASGI middleware: all but the API is for those who have an account; open while there are none."""

    def __init__(self, app: ASGIApp, accounts: Accounts) -> None:
        self._app, self._guard = app, Guard(lambda: accounts)
        self._open = not (accounts.persons or accounts.services)
        self._token = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks_itself = scope["type"] == "http" and scope["path"].startswith(API_PREFIX + "/")
        is_call = scope["type"] in CALLS
        if self._open or not is_call or asks_itself or self._was_here(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return
        try:
            await self._guard.before_body(HTTPConnection(scope))  # type: ignore[arg-type]  # it reads headers alone
        except HTTPException as error:
            refusal = PlainTextResponse(error.detail, error.status_code, error.headers)
            await _turn_away(refusal, scope, receive, send)
            return
        await self._app(scope, receive, self._with_cookie(send))

    def _was_here(self, connection: HTTPConnection) -> bool:
        try:
            kept = SimpleCookie(connection.headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return kept is not None and secrets.compare_digest(kept.value.encode(), self._token.encode())

    def _with_cookie(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                MutableHeaders(scope=message).append("set-cookie", kept)
            await send(message)

        return sent
