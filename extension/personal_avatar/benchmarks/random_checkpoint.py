"""Checkpoints of random weights in the true layout: they train as fast as real ones, and show nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from personal_avatar.benchmarks.ldm_layout import STANDARD_SIZES, Shapes, shapes_of
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.domain.families import NATIVE_PX

POOL = 1 << 22  # random numbers that are used again and again
SEED = 0


def standard_checkpoint(family: Family, folder: Path) -> BaseModelFile:
    """A checkpoint of the standard size of `family`, fp16 (2 to 7 GB), written into `folder` unless it is there."""
    path = folder / f"random-{family.value}.safetensors"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_random(path, shapes_of(STANDARD_SIZES[family]))
    return BaseModelFile(path, path.stem, family, native_px=NATIVE_PX[family])


def write_random(path: Path, shapes: Shapes) -> None:
    """Write fp16 weights tensor by tensor: a file of 7 GB must not need as much memory."""
    part = path.with_suffix(".part")
    header = json.dumps(_header(shapes)).encode()
    header += b" " * (-len(header) % 8)
    with part.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for block in _tensors(shapes):
            file.write(block.tobytes())
    os.replace(part, path)


def _header(shapes: Shapes) -> dict[str, dict[str, object]]:
    """The index at the beginning of a safetensors file."""
    found: dict[str, dict[str, object]] = {}
    at = 0
    for name, shape in shapes.items():
        end = at + 2 * int(np.prod(shape, dtype=np.int64))
        found[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    return found


def _tensors(shapes: Shapes) -> Iterator[np.ndarray]:
    """Weights that keep the size of what passes through them; norms are near one."""
    pool = np.random.default_rng(SEED).standard_normal(POOL, dtype=np.float32)
    for name, shape in shapes.items():
        count = int(np.prod(shape, dtype=np.int64))
        noise = np.resize(pool, count)
        if len(shape) > 1:
            yield (noise / np.sqrt(count / shape[0])).astype(np.float16)
        else:
            is_gain = name.endswith(".weight")  # of a norm: all other weights have more dimensions
            yield (noise * 0.05 + is_gain).astype(np.float16)
