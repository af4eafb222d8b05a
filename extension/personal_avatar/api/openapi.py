"""The OpenAPI document of our routes alone; the app that we are part of has its own, which lists them too."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from personal_avatar import __version__


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """OpenAPI 3.0 of these routes."""
    return get_openapi(
        title="Personal Avatar", version=__version__, routes=routes,
        description="Photos in, avatars out. Errors are RFC 9457 problem documents with a stable `code` and a `hint`.",
    )
