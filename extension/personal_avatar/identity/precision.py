"""Computing in the number format of the tensors, whatever the host has switched on."""
from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

_WITH_AUTOCAST = ("cuda", "cpu")  # older versions of torch refuse to switch it off elsewhere


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    return torch.autocast(device.type, enabled=False) if device.type in _WITH_AUTOCAST else nullcontext()
