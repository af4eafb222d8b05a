"""The secret of this installation, and what is signed with it. The scheme: see studio/webhooks.py."""
from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
from pathlib import Path

from personal_avatar.storage import locked

SECRET_FILE = "webhook-secret"
SECRET_PREFIX = "whsec_"
LEAST_KEY = 16  # bytes
log = logging.getLogger(__name__)


def secret_of(data: Path) -> str:
    """The secret with which callbacks of this installation are signed; made at first use, for this user's eyes only.

    One that is damaged is put aside and a new one made, which receivers must be given: the log says so.
    """
    path = data / SECRET_FILE
    if secret := _kept(path):
        return secret
    with locked(data / f".{SECRET_FILE}.lock"):  # whoever was first has made it
        return _kept(path) or _made_anew(path)


def _kept(path: Path) -> str:
    """The secret in the file; "" where there is none, or none with which one could sign."""
    try:
        secret = path.read_text(encoding="ascii").strip()
        return secret if len(key_of(secret)) >= LEAST_KEY else ""
    except (FileNotFoundError, ValueError):
        return ""


def _made_anew(path: Path) -> str:
    if path.exists():
        aside = path.with_name(f"{SECRET_FILE}.damaged")
        os.replace(path, aside)
        log.warning("The secret of callbacks was damaged and lies in %s now. Give receivers the new one, which "
                    "`personal-avatar doctor --webhook-secret` prints.", aside)
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # nobody else may read it
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secret + "\n")
        file.flush()
        os.fsync(file.fileno())
    return secret


def key_of(secret: str) -> bytes:
    """The key of the HMAC; raises `ValueError` for what is no secret."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret begins with {SECRET_PREFIX}")
    return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)


def signature(secret: str, event_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    digest = hmac.new(key_of(secret), f"{event_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
