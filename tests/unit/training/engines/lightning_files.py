"""Checkpoints as programs on PyTorch Lightning pickled them: beside the tensors lies the state of a class of theirs."""
from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch

MODULE = "pytorch_lightning.callbacks.pt_callbacks"  # early releases had it: no Lightning of today has


def save(path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """Answers `path`."""
    callback = type("ModelCheckpoint", (), {"__module__": MODULE})
    parts = MODULE.split(".")
    names = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    pretended: dict[str, Any] = {name: ModuleType(name) for name in names}
    pretended[MODULE].ModelCheckpoint = callback
    with patch.dict(sys.modules, pretended):
        torch.save({"epoch": 6, "callbacks": {callback: {"best_model_score": None}}, "state_dict": tensors}, path)
    return path
