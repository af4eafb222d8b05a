"""Is the file that the user gets any good? Read it again and try it, before it is published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.errors import SelfTestFailed
from personal_avatar.training.families.detect import read_shapes
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.methods.webui_names import webui_name
from personal_avatar.training.samples import SampleSettings, Shot, make_pictures

if TYPE_CHECKING:
    import torch

_REPORT = "This is an error of the program; please report it with the log."
GPU_TOLERANCE = 2  # of 255: kernels of a graphics card need not repeat to the last bit


@dataclass(frozen=True)
class BarePictures:
    """Pictures of the untrained checkpoint, made before anything was attached to it; uint8 RGB."""

    shots: tuple[Shot, ...]
    images: np.ndarray
    settings: SampleSettings


def check_file(path: Path, model: DiffusionModel, method: TrainingMethod, bare: BarePictures) -> int:
    """Leaves the weights of the file loaded; returns how many modules the WebUI will find. Raises `SelfTestFailed`."""
    matched = check_names(path, model, method)
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


def check_names(path: Path, model: DiffusionModel, method: TrainingMethod) -> int:
    """The WebUI finds every module of the file, and it is the one that was trained. Raises `SelfTestFailed`."""
    shapes, known, trained_on = product_shapes(path), model.webui_weight_names(), method.places()
    names = {key: known.get(webui_name(key) or "") for key in shapes}
    lost = [key for key, name in names.items() if name is None or key not in trained_on]
    if lost or not shapes or len(set(names.values())) < len(names):
        found = f"{len(names) - len(lost)} of {len(names)} modules"
        raise SelfTestFailed(f"The WebUI would find {found} of {path.name}; lost: {lost[:1]}.", _REPORT)
    in_file = model.file_weights([name for name in names.values() if name])
    for key, name in names.items():
        if not _same_place(shapes[key], in_file[str(name)], trained_on[key]):
            raise SelfTestFailed(f"The WebUI would apply {key} to another module than the trained one.", _REPORT)
    return len(names)


def product_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Kohya key -> shape of up times down, which must be that of the weight it is added to."""
    shapes = read_shapes(path)
    keys = [key.removesuffix(".lora_up.weight") for key in shapes if key.endswith(".lora_up.weight")]
    return {key: (shapes[f"{key}.lora_up.weight"][0], *shapes[f"{key}.lora_down.weight"][1:]) for key in keys}


def _same_place(shape: tuple[int, ...], in_file: torch.Tensor, trained_on: torch.Tensor) -> bool:
    """Whether the tensor that the WebUI adds to is the very one that was trained on."""
    import torch

    if shape != tuple(in_file.shape):
        return False
    return torch.equal(in_file.to(trained_on.device, trained_on.dtype).reshape(trained_on.shape), trained_on)


def _check_pictures(
    path: Path, without: np.ndarray, with_it: np.ndarray, bare: BarePictures, model: DiffusionModel
) -> None:
    allowed = 0 if model.compute.device.type == "cpu" else GPU_TOLERANCE
    off_by = int(np.abs(without.astype(np.int16) - bare.images.astype(np.int16)).max())
    if off_by > allowed:
        raise SelfTestFailed(f"{path.name} changes pictures (by {off_by} of 255) even at weight 0.", _REPORT)
    if np.array_equal(with_it, without):
        raise SelfTestFailed(f"{path.name} changes nothing at weight 1.")
