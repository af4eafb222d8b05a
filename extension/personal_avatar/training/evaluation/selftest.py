"""Is the file that the user gets any good? Read it again and try it, before it is published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from personal_avatar.errors import BaseUnsupported, NotAlike, SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.training.evaluation.samples import UNGUIDED, SampleSettings, Shot, latents_of, make_pictures
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.methods.base import TrainingMethod
from personal_avatar.training.methods.lora_names import REPORT_IT
from personal_avatar.training.planning.plan import TrainPlan
from personal_avatar.training.results.document import FAR_BELOW, Numbers, finite
from personal_avatar.wording import score, text

if TYPE_CHECKING:
    import torch

BARE_STEPS = 1  # one unguided answer of the UNet, for which the training waits
FACELESS = 0.0  # likeness of pictures without a face, and of none with one
GPU_TOLERANCE = 2  # of 255: kernels of a graphics card need not repeat to the last bit


@dataclass(frozen=True)
class BarePictures:
    """What a trained file is tried on: `shots` made with `settings`. `latents`: of the first one after one step,
    float32 (1, channels, side / 8, side / 8), by the untrained checkpoint before anything was attached to it; they
    become a picture only when they are compared."""

    shots: tuple[Shot, ...]
    latents: torch.Tensor
    settings: SampleSettings


def bare_pictures(model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings) -> BarePictures:
    """`model` must have nothing attached yet. Raises `BaseUnsupported` when it answers with what is no number."""
    latents = _quick(model, shots, settings)
    if not latents.isfinite().all():
        values = {"file": model.base.path.name, "name": "precision"}
        raise stated(BaseUnsupported, "base.answers", "remedy.again_or_fp32", **values)
    return BarePictures(tuple(shots), latents, settings)


def _quick(model: DiffusionModel, shots: Sequence[Shot], settings: SampleSettings) -> torch.Tensor:
    import torch

    with torch.no_grad():
        return latents_of(model, shots[:1], replace(settings, steps=BARE_STEPS, guidance=UNGUIDED))


def check_file(path: Path, model: DiffusionModel, method: TrainingMethod, bare: BarePictures) -> int:
    """Leaves the weights of the file loaded; returns how many modules the host will find. Raises `SelfTestFailed`."""
    matched = method.matched(path)
    method.load(method.read(path))
    with method.strength(0.0):
        latents, without = _quick(model, bare.shots, bare.settings), make_pictures(model, bare.shots, bare.settings)
    allowed = 0 if model.compute.device.type == "cpu" else GPU_TOLERANCE
    off_by = int(np.abs(_signed(model, latents) - _signed(model, bare.latents)).max())
    if off_by > allowed:
        raise stated(SelfTestFailed, "failure.at_nothing", REPORT_IT, file=path.name, off_by=off_by)
    if np.array_equal(make_pictures(model, bare.shots, bare.settings), without):
        raise stated(SelfTestFailed, "failure.no_effect", file=path.name)
    return matched


def _signed(model: DiffusionModel, latents: torch.Tensor) -> np.ndarray:
    """Pictures, 0..255 in int16."""
    with model.without(text=True, unet=True):
        return model.decode(latents).astype(np.int16)


def check_likeness(path: Path, floor: float, after: float, numbers: Numbers) -> None:
    """Raises `NotAlike` when the training did not bring the pictures nearer to the person: it was too weak, or,
    where it took them far away or their faces, too strong; or no picture shows a face. `numbers`: of this training."""
    if floor == after == FACELESS:
        raise NotAlike(text("failure.no_face_made", place=path), _with_faces(numbers))
    if after <= floor:
        raise NotAlike(
            text("failure.not_alike", after=score(after, 3), before=score(floor, 3), place=path),
            _gentler(numbers) if _was_too_strong(floor - after, numbers) else None,
        )


def _was_too_strong(lost: float, numbers: Numbers) -> bool:
    return numbers.is_too_fast or numbers.has_lost_faces or lost >= FAR_BELOW


def _with_faces(numbers: Numbers) -> str:
    """What test pictures lack that show no face, before the training either."""
    usual, used = int(TrainPlan.__fields__["sample_steps"].default), finite(numbers.plan("sample_steps"))
    changes = [f"resolution_px {numbers.native_px}"] if numbers.is_small else []
    changes += [f"sample_steps {usual}"] if used is not None and used <= usual / 2 else []
    key = "error.NOT_ALIKE.faceless" if changes else "error.NOT_ALIKE.no_people"
    return text(key, changes=", ".join(changes))


def _gentler(numbers: Numbers) -> str:
    setting, value = numbers.slower
    return text("error.NOT_ALIKE.damaged", setting=setting, value=f"{value:g}")

