"""How much requests may bring: bodies are measured while they come in, and refused as soon as they are too large.

What is announced as too large is not read at all. All bodies that are held at one moment have a limit together, so that
many large requests cannot take the machine's memory. A body is held as bytes, then as text, then as values. As
values are larger than their text and nothing else is done while they are made, their number has a limit, too; and who
sends too slowly is not waited for.
"""
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from anyio import fail_after
from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.types import Receive, Scope

from personal_avatar.errors import BadInput, FileTooLarge, QueueFull
from personal_avatar.host import Rules

AT_ONCE = 2  # so many of the largest requests may be held
MOST_VALUES = 100_000  # of one request: what begins a value or parts two; pictures have none inside
MOST_DIGITS = 4000  # making a number takes the square of the time
SMALL = 2**20  # bytes that are understood at once, without another thread
QUIET_S = 30.0  # so long nothing may come
LONGEST_S = 600.0  # so long the whole may take
LEAST_PER_S = 8 * 2**10  # bytes, on the average of what comes in more than QUIET_S
NOT_JSON = "Send one JSON object in UTF-8 with content type application/json."


class TooManyValues(BadInput):
    code, http_status = "TOO_MANY_VALUES", 413


class TooSlow(BadInput):
    code, http_status = "TOO_SLOW", 408


class Intake:
    """What is held of all requests to one router. A dependency, by which its routes find it."""

    def __init__(self, rules: Callable[[], Rules]) -> None:
        self._rules = rules
        self._held = 0

    def __call__(self) -> None:
        """Everything is done while the body is read."""

    @property
    def limit(self) -> int:
        """Bytes of one request."""
        return self._rules().upload_bytes

    def hold(self, size: int) -> None:
        """Raises `QueueFull` when all requests together would be too much."""
        if self._held + size > AT_ONCE * self.limit:
            raise QueueFull("Too much is being uploaded at this moment.", "Try again in a few seconds.")
        self._held += size

    def release(self, size: int) -> None:
        self._held -= size


class BoundedRequest(Request):
    """A request whose body is refused while it comes in, once it is too large. `digest`: of path and body."""

    def __init__(self, scope: Scope, receive: Receive, intake: Intake) -> None:
        super().__init__(scope, receive)
        self._intake, self._size, self._values = intake, 0, 0
        self._data: bytearray | None = None
        self.digest = ""

    async def body(self) -> bytes:
        return await self._whole()  # type: ignore[return-value]  # what reads it asks whether it is empty

    async def _whole(self) -> bytearray:
        if self._data is None:
            self._refuse(int(length) if (length := self.headers.get("content-length", "")).isdecimal() else 0)
            digest, data = hashlib.sha256(self.url.path.encode()), bytearray()
            async for chunk in self._in_time():
                self._take(len(chunk))
                self._count(chunk)
                digest.update(chunk)
                data += chunk
            self.digest, self._data = digest.hexdigest(), data
        return self._data

    async def _in_time(self) -> AsyncIterator[bytes]:
        """The body as it comes in; raises `TooSlow`."""
        began, stream = time.monotonic(), self.stream()
        while (left_s := began + LONGEST_S - time.monotonic()) > 0:
            try:
                with fail_after(min(QUIET_S, left_s)):
                    chunk = await anext(stream)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield chunk
            took_s = time.monotonic() - began
            if took_s > QUIET_S and self._size < LEAST_PER_S * took_s:
                break
        raise TooSlow("The request came in too slowly.")

    async def json(self) -> Any:
        """The values; the bytes are let go of, whoever else has them."""
        if not hasattr(self, "_json"):
            data = await self._whole()
            self._json = _values(data) if len(data) < SMALL else await run_sync(_values, data)
        return self._json

    def done(self) -> None:
        """The request is answered: others may bring as much."""
        self._intake.release(self._size)
        self._size = 0

    def _take(self, size: int) -> None:
        self._refuse(self._size + size)
        self._intake.hold(size)
        self._size += size

    def _count(self, chunk: bytes) -> None:
        self._values += sum(map(chunk.count, (b",", b"[", b"{")))
        if self._values > MOST_VALUES:
            raise TooManyValues(f"The request holds more than {MOST_VALUES} values.")

    def _refuse(self, size: int) -> None:
        if size > (limit := self._intake.limit):
            raise FileTooLarge(f"The request is larger than {limit >> 20} MB.", "Send fewer or smaller pictures.")


def _values(data: bytearray) -> Any:
    """What the body says; empties `data`. Raises `BadInput`, `json.JSONDecodeError`."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput("The body is not text in UTF-8.", NOT_JSON) from None
    data.clear()
    return json.loads(text, parse_int=_integer)


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise BadInput(f"The body holds a number of more than {MOST_DIGITS} digits.")
    return int(digits)
