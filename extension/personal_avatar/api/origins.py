"""Which web pages may change something here: our own, and those of origins that whoever runs us allows.

A browser sends what any page asks for, also to this machine and with the passwords that it keeps; only the answer is
held back. It says where the page is from, and no page can make it say otherwise: by `Sec-Fetch-Site`, and where we are
called by a plain address of another machine, or by an older browser, by `Origin` alone. Programs send neither.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request

from personal_avatar.errors import BadInput

READING = ("GET", "HEAD", "OPTIONS")
USUAL_PORTS = {"http": ":80", "https": ":443"}

Allowed = Callable[[str], bool]


class CrossSite(BadInput):
    code, http_status = "CROSS_SITE", 403


def nobody(origin: str) -> bool:
    """Where there is no page but our own."""
    return False


class Origins:
    """Refuses what a page of another origin would change. A dependency, by which our routes find it."""

    def __init__(self, allowed: Allowed = nobody) -> None:
        self._allowed = allowed

    def __call__(self) -> None:
        """Everything is done before the body is read."""

    async def before_body(self, request: Request) -> None:
        """As `refuse_others`."""
        self.refuse_others(request)

    def refuse_others(self, call: HTTPConnection) -> None:
        """Raises `CrossSite`. A connection that stays open counts as a change: what is done comes over it."""
        if call.scope.get("method") in READING or _is_own(call.headers):
            return
        origin = call.headers.get("origin", "")
        if not (origin and self._allowed(origin)):
            raise CrossSite(f"A page of {origin[:200] or 'another site'} may change nothing here.")


def _is_own(headers: Headers) -> bool:
    """Whether our own page, or no page at all, asks. Another port of this machine is the same site, and not ours."""
    site, origin = headers.get("sec-fetch-site", "none"), headers.get("origin")
    if site != "none" or origin is None:
        return site in ("same-origin", "none")
    names = [headers.get("host", ""), *headers.get("x-forwarded-host", "").split(",")]
    return any(_is_of(origin, name.strip()) for name in names)


def _is_of(origin: str, name: str) -> bool:
    """Whether that is the origin of pages at `name`, a host and its port; "null" is none's."""
    scheme, _, host = origin.lower().partition("://")
    port = USUAL_PORTS.get(scheme, "")
    return host != "" and host.removesuffix(port) == name.lower().removesuffix(port)
