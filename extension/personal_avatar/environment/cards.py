"""Which card torch means by a number, in words that nvidia-smi understands: the two do not count alike.

nvidia-smi counts by PCI bus; CUDA, and with it torch, the fastest card first, and only those that are visible. CUDA's
driver tells the place of a card without a context on it, so that asking takes nothing of its memory.
"""
from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache

VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
PART = "MIG-"  # a slice of a card, of whose memory nvidia-smi tells nothing by itself
LIBRARIES = {"win32": "nvcuda.dll"}
LIBRARY = "libcuda.so.1"
LONGEST = 32  # bytes of a PCI address
MAPS_MEMORY = 102  # the driver's CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED


def named(index: int) -> str:
    """For `nvidia-smi --id`: the PCI address of the card that torch has under that number, as the driver tells it; else
    what is said of visible ones, and the number itself where nothing is: then it is right where there is one card, or
    where CUDA counts by PCI bus, too."""
    visible = os.environ.get(VISIBLE, "")
    entry = (visible.split(",")[index : index + 1] or [""])[0].strip()
    if entry.startswith(PART):
        return entry
    return _address(index, visible, os.environ.get(ORDER, "")) or entry or str(index)


@lru_cache(maxsize=16)
def _address(index: int, visible: str, order: str) -> str:
    """"" where the driver cannot be asked; it reads the environment once, when it is first asked in a process."""
    try:
        cuda = _library()
        card, address = ctypes.c_int(), ctypes.create_string_buffer(LONGEST)
        answers = (
            cuda.cuInit(0),
            cuda.cuDeviceGet(ctypes.byref(card), index),
            cuda.cuDeviceGetPCIBusId(address, LONGEST, card),
        )
    except (OSError, AttributeError):
        return ""
    return "" if any(answers) else address.value.decode("ascii", errors="replace")


def map_memory() -> bool:
    """Whether the driver says of every visible card that its memory can be mapped where a program wants it, which some
    virtual ones (vGPU) cannot; False without a card."""
    try:
        cuda = _library()
        count = ctypes.c_int()
        if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
            return False
        return count.value > 0 and all(_maps_memory(cuda, index) for index in range(count.value))
    except (OSError, AttributeError):
        return False


def _maps_memory(cuda: ctypes.CDLL, index: int) -> bool:
    card, found = ctypes.c_int(), ctypes.c_int()
    answers = (
        cuda.cuDeviceGet(ctypes.byref(card), index),
        cuda.cuDeviceGetAttribute(ctypes.byref(found), MAPS_MEMORY, card),
    )
    return not any(answers) and found.value == 1


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(LIBRARIES.get(sys.platform, LIBRARY))
