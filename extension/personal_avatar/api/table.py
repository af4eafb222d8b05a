"""What a line of the table of routes is; the lines stand beside the functions that answer them."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Path
from starlette.responses import JSONResponse, Response

from personal_avatar.api.bodies import WORDS
from personal_avatar.api.callers import for_callers
from personal_avatar.api.problems import documented
from personal_avatar.studio.rankings import MAX_IMAGES

JOB_ID = Path(..., regex="^[0-9a-z]{1,64}$")
NUMBER = Path(..., ge=0, le=MAX_IMAGES, description="Its place by rank when the job ended; it keeps it")
_NO_MODEL: dict[str, Any] = {"not": {"enum": ["train"]}}  # an address of its own
MODEL_ID = Path(
    ..., regex=WORDS, max_length=80, description="An avatar, by its id, or by its name where that holds no slash",
    **_NO_MODEL,
)


@dataclass(frozen=True)
class Row:
    """One line of the table of routes. `errors`: statuses besides those that every route may answer; `more`: answers
    that are no errors, besides the usual one, by status."""

    method: str
    path: str
    endpoint: Callable[..., Any]
    errors: tuple[int, ...] = ()
    status: int = 200
    answer: dict[str, Any] | None = None
    more: dict[int | str, dict[str, Any]] | None = None

    def add_to(self, router: APIRouter, api: Any) -> None:
        success: dict[int | str, dict[str, Any]] = {self.status: self.answer or {}}
        if "events" in self.path:
            success[204] = {"description": "Ended"}
        endpoint = for_callers(getattr(api, self.endpoint.__name__), api.studio, self.path)
        router.add_api_route(
            self.path, endpoint, methods=[self.method], status_code=self.status,
            responses=documented(*self.errors) | (success if self.answer else {}) | (self.more or {}),
            response_class=Response if self.answer else JSONResponse,
            operation_id=f"personal_avatar_{self.endpoint.__name__}",
        )


def plain(media_type: str, description: str) -> dict[str, Any]:
    """OpenAPI entry of an answer that is not JSON."""
    return {"description": description, "content": {media_type: {}}}
