"""How torch takes memory of a graphics card in a process of our own: in pieces that grow, so that less of it is lost
between tensors of many sizes.

Where a driver may lack what that needs, nothing is asked for: Windows Subsystem for Linux, whose driver failed at it
(github.com/pytorch/pytorch/issues/192330 and 112957), Jetson, and cards that say that they lack it.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib import metadata

from personal_avatar.environment import cards

GROWING = {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
OWN = (*GROWING, "PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")  # with which a user says it
SINCE = (2, 1)
UNFIT_KERNELS = ("microsoft", "tegra")


def settings(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables to set before torch is loaded; none where the user set them, or where torch was loaded by somebody who
    has this process for other things."""
    said = any(name in environment for name in OWN)
    return {} if said or "torch" in sys.modules or not _can_grow() else dict(GROWING)


def _can_grow() -> bool:
    kernel = platform.release().lower()
    if sys.platform != "linux" or any(name in kernel for name in UNFIT_KERNELS) or _version() < SINCE:
        return False
    return cards.map_memory()


def _version() -> tuple[int, ...]:
    """Of the torch that would be loaded; () without one."""
    try:
        found = metadata.version("torch").split(".")[:2]
        return tuple(int(part) for part in found)
    except (metadata.PackageNotFoundError, ValueError):
        return ()
