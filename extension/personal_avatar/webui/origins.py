"""Whose pages may use the WebUI's API besides its own, as its command line says; ours is as open to them."""

from __future__ import annotations

import re

from modules import shared


def allowed(origin: str) -> bool:
    """Whether --cors-allow-origins or --cors-allow-origins-regex name that origin."""
    listed, pattern = shared.cmd_opts.cors_allow_origins, shared.cmd_opts.cors_allow_origins_regex
    names = listed.split(",") if listed else []
    return "*" in names or origin in names or bool(pattern and re.fullmatch(pattern, origin))
