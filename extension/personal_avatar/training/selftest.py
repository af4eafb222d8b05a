"""Is the file that the user gets any good? Read it again and try it, before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from personal_avatar.errors import SelfTestFailed
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.methods.lora_names import REPORT_IT
from personal_avatar.training.samples import SampleSettings, Shot, make_pictures

GPU_TOLERANCE = 2  # of 255: kernels of a graphics card need not repeat to the last bit


@dataclass(frozen=True)
class BarePictures:
    """Pictures of the untrained checkpoint, made before anything was attached to it; uint8 RGB."""

    shots: tuple[Shot, ...]
    images: np.ndarray
    settings: SampleSettings


def check_file(path: Path, model: DiffusionModel, method: TrainingMethod, bare: BarePictures) -> int:
    """Leaves the weights of the file loaded; returns how many modules the host will find. Raises `SelfTestFailed`."""
    matched = method.matched(path)
    method.load(method.read(path))
    with method.strength(0.0):
        without = make_pictures(model, bare.shots, bare.settings)
    _check_pictures(path, without, make_pictures(model, bare.shots, bare.settings), bare, model)
    return matched


def check_likeness(path: Path, floor: float, after: float) -> None:
    """Raises `SelfTestFailed` when the training did not bring the pictures nearer to the person."""
    if after <= floor:
        raise SelfTestFailed(
            f"The pictures look no more like the person than before the training ({after:.3f}, {floor:.3f} before). "
            f"The file was not published; it is {path}."
        )


def _check_pictures(
    path: Path, without: np.ndarray, with_it: np.ndarray, bare: BarePictures, model: DiffusionModel
) -> None:
    allowed = 0 if model.compute.device.type == "cpu" else GPU_TOLERANCE
    off_by = int(np.abs(without.astype(np.int16) - bare.images.astype(np.int16)).max())
    if off_by > allowed:
        raise SelfTestFailed(f"{path.name} changes pictures (by {off_by} of 255) even at weight 0.", REPORT_IT)
    if np.array_equal(with_it, without):
        raise SelfTestFailed(f"{path.name} changes nothing at weight 1.")
