"""The most memory that this process, or one that it has waited for, ever held: another engine trains in one of its own.
Standard library only: a foreign program's process asks it, too."""

from __future__ import annotations

import sys


def peak_gb() -> float:
    """GB (10^9 bytes): of the graphics card, as torch held it, when it used one, else of main memory."""
    return round((_reserved_bytes() or _resident_bytes()) / 1e9, 3)


def kind() -> str:
    """What `peak_gb` is of: "vram" or "ram"."""
    return "vram" if _reserved_bytes() else "ram"


def _reserved_bytes() -> int:
    """With what torch keeps for later, because nobody else can have that."""
    torch = sys.modules.get("torch")
    return int(torch.cuda.max_memory_reserved()) if torch is not None and torch.cuda.is_available() else 0


def _resident_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return int(peak if sys.platform == "darwin" else peak * 1024)
