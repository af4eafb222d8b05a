"""How much requests may bring: bodies are measured while they come in, and refused as soon as they are too large.

What is announced as too large is not read at all. All bodies that are held at one moment have a limit together, so that
many large requests cannot take the machine's memory. A body is held once: as bytes, then as text, then as values.
"""
import hashlib
import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.types import Receive, Scope

from personal_avatar.errors import BadInput, FileTooLarge, QueueFull
from personal_avatar.host import Rules

AT_ONCE = 2  # so many of the largest requests may be held
NOT_JSON = "Send one JSON object in UTF-8 with content type application/json."


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
        self._intake, self._size = intake, 0
        self._data: bytearray | None = None
        self.digest = ""

    async def body(self) -> bytes:
        return await self._whole()  # type: ignore[return-value]  # what reads it asks whether it is empty

    async def _whole(self) -> bytearray:
        if self._data is None:
            self._refuse(int(length) if (length := self.headers.get("content-length", "")).isdecimal() else 0)
            digest, data = hashlib.sha256(self.url.path.encode()), bytearray()
            async for chunk in self.stream():
                self._take(len(chunk))
                digest.update(chunk)
                data += chunk
            self.digest, self._data = digest.hexdigest(), data
        return self._data

    async def json(self) -> Any:
        """The values; the bytes are let go of, whoever else has them."""
        if not hasattr(self, "_json"):
            data = await self._whole()
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                raise BadInput("The body is not text in UTF-8.", NOT_JSON) from None
            data.clear()
            self._json = json.loads(text)
        return self._json

    def done(self) -> None:
        """The request is answered: others may bring as much."""
        self._intake.release(self._size)
        self._size = 0

    def _take(self, size: int) -> None:
        self._refuse(self._size + size)
        self._intake.hold(size)
        self._size += size

    def _refuse(self, size: int) -> None:
        if size > (limit := self._intake.limit):
            raise FileTooLarge(f"The request is larger than {limit >> 20} MB.", "Send fewer or smaller pictures.")
