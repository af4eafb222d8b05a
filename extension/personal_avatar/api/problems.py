"""Errors as RFC 9457 problem documents, for our own routes only.

Everything is translated in the class of the routes, not in handlers of the app that we are part of, so that nothing
outside the prefix changes.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from personal_avatar.api.guard import Guard
from personal_avatar.api.intake import NOT_JSON, BoundedRequest, Intake
from personal_avatar.api.origins import Origins
from personal_avatar.documents import API_PREFIX
from personal_avatar.errors import AvatarError, BadInput, Crashed, InvalidSettings, NotFound
from personal_avatar.naming import named

PREFIX = API_PREFIX
MEDIA_TYPE = "application/problem+json"
NOT_AS_WRITTEN = "is blank, or not written as the description of this value demands"
UNTOLD = ("body", "query", "path", "header", "__root__")  # parts of places that are the library's, not the caller's
RETRY_AFTER_S = {429: 5, 503: 30}
log = logging.getLogger(__name__)

TITLES = {
    400: "The request cannot be read",
    401: "Name and password are wanted",
    403: "Not allowed to this caller",
    404: "There is no such thing",
    405: "This cannot be done here",
    408: "It took too long to come in",
    409: "Not possible in the present state",
    413: "Too large",
    422: "Some values are not possible",
    429: "Too much waits already",
    500: "It failed",
    502: "A download is damaged",
    503: "Something is missing on this machine",
    507: "Out of memory or disk",
}


class Problem(BaseModel):
    """RFC 9457 problem details with a stable `code` and a `hint` that says what to do."""

    type: str = Field(..., description="A URN that ends in the code")
    title: str
    status: int
    detail: str = Field(..., description="What happened")
    code: str = Field(..., description="Stable; the codes of errors.py")
    hint: str = Field("", description="What to do next")
    details: dict[str, Any] | None = Field(None, description="For programs: numbers, settings that would fit")

    class Config:
        schema_extra = {
            "example": {
                "type": "urn:personal-avatar:problem:NOT_FOUND", "title": TITLES[404], "status": 404,
                "detail": "There is no avatar 'anna'.", "code": "NOT_FOUND",
                "hint": "Look at the list of avatars (`personal-avatar avatars list`), or train one first.",
            }
        }


class Unauthorised(BadInput):
    code, http_status = "UNAUTHORISED", 401


class Forbidden(BadInput):
    code, http_status = "FORBIDDEN", 403


class KeyReused(BadInput):
    code, http_status = "IDEMPOTENCY_KEY_REUSED", 422


class WrongMethod(BadInput):
    code, http_status = "WRONG_METHOD", 405


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of error answers; those that every route may give are added."""
    schema = Problem.schema()
    every = sorted({400, 401, 403, 422, 500, *statuses})
    return {status: {"description": TITLES[status], "content": {MEDIA_TYPE: {"schema": schema}}} for status in every}


def answer(error: AvatarError, headers: dict[str, str] | None = None) -> JSONResponse:
    """The HTTP answer for a named error."""
    status = error.http_status
    if status in RETRY_AFTER_S:
        headers = {"Retry-After": str(RETRY_AFTER_S[status]), **(headers or {})}
    if status == 408:
        headers = {"Connection": "close", **(headers or {})}  # the rest of the request may never come
    problem = Problem(
        type=f"urn:personal-avatar:problem:{error.code}", title=TITLES.get(status, TITLES[500]), status=status,
        detail=error.message, code=error.code, hint=error.hint, details=error.details or None,
    )
    return JSONResponse(problem.dict(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def from_validation(error: RequestValidationError) -> AvatarError:
    """All problems of a request in one sentence each."""
    problems = error.errors()
    if all(problem["loc"][0] == "path" for problem in problems):
        return NotFound(f"There is no such address ({_told(problems)}).")
    if any(problem["type"].startswith("value_error.jsondecode") for problem in problems):
        return BadInput("The body is not JSON.", NOT_JSON)
    if any(problem["loc"] == ("body",) and problem["type"] == "type_error.dict" for problem in problems):
        return BadInput("The body is not taken for a JSON object.", NOT_JSON)
    hints = dict.fromkeys(problem.get("ctx", {}).get("hint", InvalidSettings.default_hint) for problem in problems)
    return InvalidSettings(f"{_told(problems)}.", " ".join(hints))


def _told(problems: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{_place(problem)}{_said(problem)}" for problem in problems)


def _said(problem: Mapping[str, object]) -> str:
    """In words; a pattern tells a caller nothing."""
    return NOT_AS_WRITTEN if problem["type"] == "value_error.str.regex" else str(problem["msg"])


def _place(problem: Mapping[str, Any]) -> str:
    """What it is about; nothing where that is the whole request, and the sentence says itself what it is about."""
    named = ".".join(str(part) for part in problem["loc"] if part not in UNTOLD)
    return f"{named or 'body'}: " if named or "said" not in problem.get("ctx", {}) else ""


def from_http(error: HTTPException) -> AvatarError:
    """What FastAPI itself refuses; it wraps the errors of reading the body."""
    if isinstance(error.__cause__, AvatarError):
        return error.__cause__
    kinds = {401: Unauthorised, 403: Forbidden, 404: NotFound, 405: WrongMethod}
    return kinds.get(error.status_code, BadInput)(str(error.detail))


def unexpected(error: Exception, request: Request) -> AvatarError:
    """Name a library's exception; what has no name goes to the server's log, not to the caller."""
    found = named(error)
    if isinstance(found, Crashed) and not isinstance(error, AvatarError):
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return Crashed(f"The server failed with {type(error).__name__}.", "Its log says more.")
    return found


class ProblemRoute(APIRoute):
    """A route whose every error is a problem document. Its router has an `Intake` among its dependencies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()
        wanted = [depends.dependency for depends in self.dependencies]
        guards = [one for one in wanted if isinstance(one, Origins | Guard)]
        intake = next(one for one in wanted if isinstance(one, Intake))

        async def handler(request: Request) -> Response:
            bounded = BoundedRequest(request.scope, request.receive, intake)
            try:
                for guard in guards:
                    await guard.before_body(request)
                return await inner(bounded)
            except RequestValidationError as error:
                return answer(from_validation(error))
            except HTTPException as error:
                return answer(from_http(error), error.headers)
            except Exception as error:  # noqa: BLE001  the border: every error gets a name here
                return answer(unexpected(error, request))
            finally:
                bounded.done()

        return handler

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self.methods:
            await super().handle(scope, receive, send)
        else:
            await nothing_here(Request(scope))(scope, receive, send)


class Elsewhere:
    """ASGI application: what `nothing_here` says, by whatever method it is asked."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await nothing_here(Request(scope))(scope, receive, send)


def nothing_here(request: Request) -> Response:
    """Also what our last routes say: 404, or 405 when the address is there for other methods."""
    path, ours = request.url.path, [route for route in request.app.routes if isinstance(route, ProblemRoute)]
    fitting = [route for route in ours if route.path == path] or [r for r in ours if r.path_regex.match(path)]
    allowed = {method for route in fitting for method in route.methods}
    if allowed:
        methods = ", ".join(sorted(allowed))
        return answer(WrongMethod(f"{request.method} is not possible here, {methods} is."), {"Allow": methods})
    return answer(NotFound(f"There is no {path}.", f"The addresses are listed in {PREFIX}/openapi.json."))
