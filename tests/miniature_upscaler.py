"""An upscaler in the layout of Real-ESRGAN's files, tiny and with random weights; for tests only."""
from __future__ import annotations

from pathlib import Path

import numpy as np

FEATURES, GROWTH = 16, 32  # readers take the second for granted


def make_upscaler(file: Path, blocks: int = 1, seed: int = 0) -> Path:
    """Makes pictures four times larger; the names are those of RRDBNet in Real-ESRGAN (rrdbnet_arch.py of BasicSR)."""
    import torch

    random = np.random.default_rng(seed)
    weights: dict[str, torch.Tensor] = {}

    def convolution(name: str, given: int, made: int) -> None:
        drawn = random.normal(scale=0.1, size=(made, given, 3, 3))
        weights[f"{name}.weight"] = torch.from_numpy(drawn.astype(np.float32))
        weights[f"{name}.bias"] = torch.zeros(made)

    convolution("conv_first", 3, FEATURES)
    for block in range(blocks):
        for dense in (1, 2, 3):
            for step in range(1, 6):
                given, made = FEATURES + (step - 1) * GROWTH, GROWTH if step < 5 else FEATURES
                convolution(f"body.{block}.rdb{dense}.conv{step}", given, made)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        convolution(name, FEATURES, FEATURES)
    convolution("conv_last", FEATURES, 3)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(weights, file, _use_new_zipfile_serialization=False)  # what every version of torch and the WebUI reads
    return file
