"""What a training will need: seconds, memory, size of the file. No torch; the size is exact, the rest rough."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.training.families.detect import UNET, Shapes, read_shapes
from personal_avatar.training.plan import LoraPlan, TrainPlan
from personal_avatar.training.presets import is_tiny

FORWARD_SHARE = 0.35  # a picture's step needs no backward pass
WITH_PRIOR = 1.75  # two more forward passes and a backward pass, on half of the batch
GRID_EXTRA = 5  # grids of pictures besides one a checkpoint: three before the training, two after it
OUTSIDE_UNET = ("time_embed.", "input_blocks.0.0.", "out.2.")
ATTENTION = ("transformer_blocks.", ".proj_in.", ".proj_out.")
GB, MB = 1e9, 1e6


@dataclass(frozen=True)
class Speed:
    """`seconds` of one training sample at `at_px`; memory of one sample in a batch, and of everything else.

    `measured`: on such a machine; else reckoned from the number of operations and the rate of a current one.
    """

    seconds: float
    at_px: int
    sample_gb: float
    fixed_gb: float
    measured: bool = False


# One core of a 2026 server processor (tiny) or two (sd1); a current 12 GB card.
SPEEDS: dict[tuple[bool, bool], Speed] = {
    (True, False): Speed(0.045, 128, 0.03, 0.9, measured=True),
    (True, True): Speed(0.02, 128, 0.05, 1.2),
    (False, False): Speed(2.0, 256, 2.5, 5.0),
    (False, True): Speed(0.15, 512, 1.6, 3.5),
}


def estimate(plan: TrainPlan, base: BaseModelFile, photos: int, gpu: bool | None = None) -> dict[str, Any]:
    """`seconds`, `memory_gb` (of the card, or of the machine without one), `file_mb`, `steps`, `measured`.

    `gpu` None: whether there is an NVIDIA driver. Raises `BaseNotFound`, `BaseUnsupported`.
    """
    on_card = shutil.which("nvidia-smi") is not None if gpu is None else gpu
    speed = SPEEDS[is_tiny(base), on_card]
    steps = plan.steps_for(max(1, photos - round(photos * plan.held_out)))
    larger = ((plan.resolution_px or base.native_px) / speed.at_px) ** 2
    pictures = plan.score_pictures * (plan.save_count + GRID_EXTRA)
    samples = steps * plan.batch_size * (WITH_PRIOR if plan.prior_weight else 1.0)
    forwards = pictures * plan.sample_steps * 2 * FORWARD_SHARE
    return {
        "seconds": round((samples + forwards) * speed.seconds * larger, 1),
        "memory_gb": round(speed.fixed_gb + plan.batch_size * speed.sample_gb * larger, 1),
        "file_mb": round(lora_bytes(read_shapes(base.path), plan) / MB, 1),
        "steps": steps,
        "measured": speed.measured,
    }


def lora_bytes(shapes: Shapes, plan: TrainPlan) -> int:
    """Bytes of the fp16 weights of the UNet's part."""
    if not isinstance(plan, LoraPlan):
        return 0
    return 2 * sum(_numbers(key, shape, plan) for key, shape in shapes.items() if key.startswith(UNET))


def _numbers(key: str, shape: tuple[int, ...], plan: LoraPlan) -> int:
    """rank x (outputs + inputs x kernel) of one layer."""
    if len(shape) < 2 or key[len(UNET) :].startswith(OUTSIDE_UNET):
        return 0
    rank = plan.rank if any(mark in key for mark in ATTENTION) else plan.conv_rank
    inputs = 1
    for size in shape[1:]:
        inputs *= size
    return rank * (shape[0] + inputs)
