"""The most memory that this process ever held. Standard library only, and nothing of this package: the process of
another engine asks it, too, and runs it by its path."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

UNTOLD: dict[str, Any] = {"peak_memory_gb": None, "peak_memory_of": None}


def told() -> dict[str, Any]:
    """As result documents have it; see `UNTOLD` for what nobody knows."""
    return {"peak_memory_gb": peak_gb(), "peak_memory_of": kind()}


def peak_gb() -> float:
    """GB (10^9 bytes): of the graphics card, as torch held it, when it used one, else of main memory."""
    return round((_reserved_bytes() or _resident_bytes()) / 1e9, 3)


def kind() -> str:
    """What `peak_gb` is of: "vram" or "ram"."""
    return "vram" if _reserved_bytes() else "ram"


def _reserved_bytes() -> int:
    """With what torch keeps for later, because nobody else can have that."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return int(cuda.max_memory_reserved()) if cuda is not None and cuda.is_available() else 0


def _resident_bytes() -> int:
    """Linux begins what `getrusage` tells with the size of the process that started this one."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
