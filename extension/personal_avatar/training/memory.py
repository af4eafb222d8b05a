"""The most memory that this process ever held. Standard library only: a foreign program's process asks it, too."""

from __future__ import annotations

import sys


def peak_gb() -> float:
    """GB (10^9 bytes): of the graphics card when torch used one, else of main memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 1e9, 3)
    return round(_resident_bytes() / 1e9, 3)


def _resident_bytes() -> int:
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
