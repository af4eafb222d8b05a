"""What a training will need: seconds, memory, size of the file. No torch; the size is exact, the rest is reckoned."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.training.compute import HALF_ON_CPU_FROM_PX, processor_has_bf16
from personal_avatar.training.families.detect import UNET, VAE, Shapes, detect, read_shapes
from personal_avatar.training.plan import BOTH, PREDICTION, DreamboothPlan, LoraPlan, TextualInversionPlan, TrainPlan
from personal_avatar.training.presets import is_tiny

FORWARD_SHARE = 0.35  # a picture's step needs no backward pass
GRID_EXTRA = 5  # grids of pictures besides one a checkpoint: one of the untrained one, four at the end
JUDGED = 16  # passes for each picture of a grid, to see whether it follows its prompt
AVERAGED = "model_ema."
OUTSIDE_UNET = ("time_embed.", "input_blocks.0.0.", "out.2.")
ATTENTION = ("transformer_blocks.", ".proj_in.", ".proj_out.")
GB, MB = 1e9, 1e6
FP32, HALF = 4, 2
# Bytes of optimiser state for each trained number.
OPTIMISER_BYTES = {"adamw": 8, "adamw8bit": 2, "prodigy": 16, "adafactor": 0.1, "lion": 4, "schedulefree": 8}
RUNTIME_GB = 0.6  # interpreter and libraries, or the context of a graphics card
CHECKPOINTED = 0.3  # share of the activations that gradient checkpointing keeps
HALF_TIME = 0.5  # of a step in fp32, on processors with bf16
SAVED_BY_HALVING = 0.75  # of the time of a step on pictures of half the width and height
RECOMPUTED = 1.35  # time of a step with it


@dataclass(frozen=True)
class Speed:
    """`seconds` of one training sample at `at_px`; `measured`: on such a machine, else reckoned from the number of
    operations and the rate of a current one."""

    seconds: float
    at_px: int
    measured: bool = False


# One core of a 2026 server processor for tiny models, two for the others; a current 12 GB card.
TINY_SPEEDS = {False: Speed(0.045, 128, measured=True), True: Speed(0.02, 128)}
SPEEDS: dict[tuple[bool, bool], Speed] = {  # (SDXL, on a card)
    (False, False): Speed(2.7, 256, measured=True),
    (False, True): Speed(0.15, 512),
    (True, False): Speed(5.0, 256),
    (True, True): Speed(0.6, 1024),
}
# Activations of one sample at 512 pixels in fp32, as a multiple of what the UNet's own numbers take in fp32.
ACTIVATIONS = {Family.SD1: 1.1, Family.SD2: 1.1, Family.SDXL: 0.45}


def estimate(plan: TrainPlan, base: BaseModelFile, photos: int, gpu: bool | None = None) -> dict[str, Any]:
    """`seconds`, `memory_gb` (of the card, or of the machine without one), `file_mb`, `steps`, `measured`.

    `gpu` None: whether there is an NVIDIA driver. Raises `BaseNotFound`, `BaseUnsupported`.
    """
    on_card = shutil.which("nvidia-smi") is not None if gpu is None else gpu
    shapes = read_shapes(base.path)
    family = detect(shapes, base.path.name)
    speed = TINY_SPEEDS[on_card] if is_tiny(base) else SPEEDS[family is Family.SDXL, on_card]
    side_px = plan.resolution_px or base.native_px
    steps = plan.steps_for(max(1, photos - round(photos * plan.held_out)))
    quicker = HALF_TIME if is_half(plan, base.native_px, on_card) and not on_card else 1.0
    return {
        "seconds": round(_samples(plan, steps) * speed.seconds * quicker * (side_px / speed.at_px) ** 2, 1),
        "memory_gb": round(memory_gb(plan, shapes, family, side_px, on_card, base.native_px), 1),
        "file_mb": round(file_bytes(plan, shapes, base) / MB, 1),
        "steps": steps,
        "measured": speed.measured,
    }


def _samples(plan: TrainPlan, steps: int) -> float:
    """The whole work in samples of a training step: the steps, the pictures that are judged, those of the class."""
    of_class = plan.class_pictures if plan.wants_class_pictures else 0
    pictures = plan.score_pictures * (plan.save_count + GRID_EXTRA) + of_class
    judged = plan.score_pictures * (plan.save_count + 2) * JUDGED
    forwards = pictures * plan.sample_steps * 2 + judged
    again = RECOMPUTED if plan.gradient_checkpointing else 1.0
    full = steps * (1.0 - SAVED_BY_HALVING * plan.low_first)
    return full * plan.batch_size * plan.accumulate * _with_prior(plan) * again + forwards * FORWARD_SHARE


def _with_prior(plan: TrainPlan) -> float:
    """Half as many samples more; where the untrained checkpoint is asked, too, its answers besides."""
    if plan.prior_weight <= 0:
        return 1.0
    return 1.5 + (0.5 * FORWARD_SHARE if plan.prior_from in (PREDICTION, BOTH) else 0.0)


def is_half(plan: TrainPlan, native_px: int, on_card: bool) -> bool:
    """Whether products are made in two bytes, as compute.choose will decide."""
    if plan.precision != "auto":
        return plan.precision != "fp32"
    return on_card or (native_px >= HALF_ON_CPU_FROM_PX and processor_has_bf16())


def memory_gb(
    plan: TrainPlan, shapes: Shapes, family: Family, side_px: int, on_card: bool, native_px: int
) -> float:
    """Weights, gradients, optimiser and activations of a step, 10^9 bytes; on a processor also the weights that
    Dreambooth began with, which wait in main memory."""
    half = is_half(plan, native_px, on_card)
    unet, vae = (_count(shapes, prefix) for prefix in (UNET, VAE))
    text = sum(map(_numbers, shapes.values())) - unet - vae
    trained = trained_numbers(plan, shapes)
    loaded = HALF if half else FP32
    begun_with = 0 if on_card else trained * loaded
    frozen = begun_with if isinstance(plan, DreamboothPlan) else unet * loaded
    kept = (0 if on_card and not plan.trains_text else text * FP32) + (0 if on_card else vae * FP32)
    averaged = FP32 if plan.ema_decay > 0 else 0
    training = trained * (FP32 + FP32 + averaged + OPTIMISER_BYTES[plan.optimiser])
    share = (0.55 if half else 1.0) * (CHECKPOINTED if plan.gradient_checkpointing else 1.0)
    active = unet * FP32 * ACTIVATIONS[family] * (side_px / 512) ** 2 * plan.batch_size * share
    return RUNTIME_GB + (frozen + kept + training + active) / GB


def trained_numbers(plan: TrainPlan, shapes: Shapes) -> int:
    """How many numbers are trained; the text encoders' part of a LoRA, which is small, is left out."""
    if isinstance(plan, LoraPlan):
        return sum(_low_rank(key, shape, plan) for key, shape in shapes.items() if key.startswith(UNET))
    if isinstance(plan, TextualInversionPlan):
        return plan.vectors * sum(_widths(shapes))
    whole = sum(map(_numbers, shapes.values())) - _count(shapes, VAE)
    return whole if plan.trains_text else _count(shapes, UNET)


def file_bytes(plan: TrainPlan, shapes: Shapes, base: BaseModelFile) -> int:
    """Of the file that will be written: fp16 for a LoRA, fp32 for an embedding; a checkpoint in the number format of
    the base, without its averaged weights."""
    if isinstance(plan, LoraPlan):
        return HALF * trained_numbers(plan, shapes)
    if isinstance(plan, TextualInversionPlan):
        return FP32 * trained_numbers(plan, shapes)
    whole = sum(map(_numbers, shapes.values()))
    return round(base.path.stat().st_size * (whole - _count(shapes, AVERAGED)) / max(1, whole))


def _numbers(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _count(shapes: Shapes, prefix: str) -> int:
    return sum(_numbers(shape) for key, shape in shapes.items() if key.startswith(prefix))


def text_width(shapes: Shapes) -> int:
    """Numbers for each word of a caption, of all text encoders together."""
    return sum(_widths(shapes))


def _widths(shapes: Shapes) -> list[int]:
    """Width of a word in each text encoder."""
    tables = (".token_embedding.weight",)
    return [shape[1] for key, shape in shapes.items() if key.endswith(tables) and len(shape) == 2]


def _low_rank(key: str, shape: tuple[int, ...], plan: LoraPlan) -> int:
    """rank x (outputs + inputs x kernel) of one layer."""
    if len(shape) < 2 or key[len(UNET) :].startswith(OUTSIDE_UNET):
        return 0
    rank = plan.rank if any(mark in key for mark in ATTENTION) else plan.conv_rank
    return rank * (shape[0] + _numbers(shape[1:]))
