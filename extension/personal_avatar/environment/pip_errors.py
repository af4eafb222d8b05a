"""What pip says when it fails, as one sentence and what to do."""
from __future__ import annotations

import re
from collections.abc import Sequence

from personal_avatar.errors import AvatarError, DiskFull, PipFailed, WouldMove

_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|getaddrinfo failed|"
    r"Failed to establish a new connection|Network is unreachable|ProxyError|ConnectTimeout|ReadTimeout|"
    r"Max retries exceeded|\(from versions: none\)"
)
_CONFLICT = re.compile(r"ResolutionImpossible|conflicting dependencies|conflict is caused by", re.IGNORECASE)
_HELD = re.compile(r"The user requested \(constraint\) (\S+)")
_NO_WHEEL = re.compile(r"No matching distribution found for (\S+)")
_QUOTED_LINES = 4


def named_failure(output: str, words: Sequence[str]) -> AvatarError:
    """The error for pip's `output`; `words` are the arguments it was called with."""
    if "no such option" in output:
        return PipFailed(
            "The WebUI's pip is too old to tell beforehand what it would install: 22.2 or later is needed.",
            "Run `python -m pip install --upgrade pip` with the WebUI's Python, then start the WebUI again.",
        )
    if _CONFLICT.search(output):
        return _would_move(output, words[-1])
    if "No space left on device" in output:
        sentence = "The disk is full: pip could not unpack its packages."
        return DiskFull(sentence, "Free some space, then start the WebUI again.")
    if "Permission denied" in output or "externally-managed-environment" in output:
        sentence = f"pip may not write into this environment: {_last_words(output)}"
        return PipFailed(sentence, "Start the WebUI as the user that owns it.")
    if _OFFLINE.search(output):
        return PipFailed(
            "The package index could not be reached, or has nothing for this Python.",
            "Connect to the network and start the WebUI again; with an own index set INDEX_URL.",
        )
    missing = _NO_WHEEL.search(output)
    if missing:
        sentence = f"There is no ready-made package of {missing[1]} for this Python."
        return PipFailed(sentence, "Use Python 3.10 or 3.11, 64 bit.")
    return PipFailed(f"pip failed: {_last_words(output)}", "Start the WebUI again; if it stays, report these lines.")


def _would_move(output: str, wanted: str) -> WouldMove:
    held = ", ".join(sorted(set(_HELD.findall(output)))) or "installed packages"
    return WouldMove(
        f"{wanted} cannot be added without changing {held}, which the WebUI uses.",
        f"Nothing was changed. Install a version of {wanted} by hand that fits, or do without it.",
    )


def _last_words(output: str) -> str:
    spoken = (line.strip() for line in output.splitlines() if not line.startswith(("WARNING", "[notice]")))
    lines = [line for line in spoken if line]
    return " | ".join(lines[-_QUOTED_LINES:])
