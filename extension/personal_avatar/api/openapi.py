"""The OpenAPI document of our routes alone; the app that we are part of has its own, which lists them too."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from personal_avatar import __version__

DESCRIPTION = """Photos in, avatars out. Errors are RFC 9457 problem documents with a stable `code` and a `hint`; with
429 and 503 a header `Retry-After` says when to try again.

**Who sees what.** Accounts of `--api-auth` are services: they act for every `user_id`, and limit what a call sees by
naming one. Accounts of `--gradio-auth` are persons: each acts for the user of its own name alone. What belongs to
somebody else is answered like what is not there.

**Other pages.** What a web page of another site would change is refused (403, `CROSS_SITE`), unless the WebUI was
started with `--cors-allow-origins` for it.

**Once and no more.** A request that starts a job may carry a header `Idempotency-Key`. The same request with the same
key is answered with the first one's job; a different one with it is refused (422).

**Callbacks.** Where a `callback_url` was given, the job's document, as `GET /jobs/{job_id}` answers it, is sent there
by POST when the job has succeeded, failed or was cancelled. Any 2xx status ends it, 410 too; whatever else happens it
is tried up to six times within about an hour. Redirects are not followed. An event can come twice: `webhook-id` is the
same then. The signature is that of Standard Webhooks (standardwebhooks.com). Headers: `webhook-id`, `webhook-timestamp`
(Unix seconds of this try), `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of the bytes
`{webhook-id}.{webhook-timestamp}.{body}`. The key is the base64-decoded rest of the secret behind `whsec_`;
`personal-avatar doctor --webhook-secret` prints the secret. Check the signature, and refuse timestamps that are more
than five minutes old. Addresses of private networks are refused (`CALLBACK_REFUSED`) unless the server's rules allow
them.
"""


def document(routes: Sequence[BaseRoute]) -> dict[str, Any]:
    """OpenAPI 3.0 of these routes."""
    return get_openapi(
        title="Personal Avatar", version=__version__, routes=routes,
        description=DESCRIPTION,
    )
