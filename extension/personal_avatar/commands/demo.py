"""`personal-avatar demo`."""
from __future__ import annotations

from personal_avatar.demo import run

__all__ = ["run"]
