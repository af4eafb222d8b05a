"""What a training will need: seconds, memory, size of the file. No torch; the size follows from the
shapes in the checkpoint, the rest is reckoned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.environment import free
from personal_avatar.environment.free import GB
from personal_avatar.photos import heldout
from personal_avatar.training.planning.counts import file_bytes
from personal_avatar.training.planning.network import network_in
from personal_avatar.training.planning.plan import ON, TrainPlan, resolution_of
from personal_avatar.training.planning.presets import is_tiny
from personal_avatar.training.planning.reckoning import Machine, is_half, memory_of
from personal_avatar.training.planning.schedule import save_steps
from personal_avatar.wording import megabytes

FORWARD_SHARE = 0.35  # a picture's step needs no backward pass
FINAL_GRIDS = 4  # of pictures, at the end
JUDGED = 16  # passes for each picture of a grid, to see whether it follows its prompt
HALF_TIME = 0.5  # of a step in fp32, on processors with bf16
SAVED_BY_HALVING = 0.75  # of the time of a step on pictures of half the width and height
RECOMPUTED = 1.35  # time of a step with it
# What takes as long however many steps there are, and little less beside a card. Processor time of trainings of two
# steps by the shipped checkpoint on one core of a server of 2026, of 3 photos and of 10 (512 x 512), less that of the
# steps and of the command: libraries, reading, the test of the file, report; and of one checkpoint read as fp32.
START_S, PHOTO_S, READING_S = 8.0, 0.5, 1.8  # in all, for each photo, for each GB of the checkpoint


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


def estimate(plan: TrainPlan, base: BaseModelFile, photos: int, gpu: bool | None = None) -> dict[str, Any]:
    """`seconds`, `memory_gb` (of the card, or of the machine without one), `file_mb`, `steps`, `measured`,
    `holds_others`: whether other people stay who they were; `compiles`: whether compiling comes on top of the seconds.

    `gpu` None: whether there is a card. Raises `BaseNotFound`, `BaseUnsupported`.
    """
    on_card = free.has_card() if gpu is None else gpu
    network = network_in(base.path)
    shapes, family = network.shapes, network.family
    speed = TINY_SPEEDS[on_card] if is_tiny(base) else SPEEDS[family is Family.SDXL, on_card]
    side_px = resolution_of(plan, base)
    steps = plan.steps_for(photos - heldout.how_many(photos, plan.held_out))
    quicker = HALF_TIME if is_half(plan, base.native_px, on_card) and not on_card else 1.0
    working_s = _samples(plan, steps) * speed.seconds * quicker * (side_px / speed.at_px) ** 2
    return {
        "seconds": round(before_and_after_s(base, photos) + working_s, 1),
        "memory_gb": round(memory_of(plan, base, Machine(on_card)), 1),
        "file_mb": megabytes(file_bytes(plan, shapes, base)),
        "steps": steps,
        "measured": speed.measured,
        "holds_others": plan.holds_others,
        "compiles": plan.compile == ON,
    }


def together(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several trainings, one after the other: the sum of `seconds` and of `file_mb`, the most of `memory_gb`."""
    return {
        "seconds": round(sum(one["seconds"] for one in found), 1),
        "memory_gb": max(one["memory_gb"] for one in found),
        "file_mb": sum(one["file_mb"] for one in found),
    }


def before_and_after_s(base: BaseModelFile, photos: int) -> float:
    """The seconds that are no work on pictures."""
    return START_S + PHOTO_S * photos + READING_S * base.path.stat().st_size / GB


def _samples(plan: TrainPlan, steps: int) -> float:
    """The whole work in samples of a training step: the steps, the pictures that are judged, those of the class."""
    of_class = plan.class_pictures if plan.wants_class_pictures else 0
    judging = of_judging(plan, plan.save_count, untrained=True, final=True)
    return _of_steps(plan, steps) + judging + of_class * _forwards(plan)


def in_loop(plan: TrainPlan, steps: int) -> float:
    """In such samples the work between the first step and the last: the steps, and the pictures that the checkpoints
    saved between them, and the untrained one, are judged by."""
    saved = len(save_steps(steps, plan.save_count))
    return _of_steps(plan, steps) + of_judging(plan, saved, untrained=True, final=False)


def of_a_step(plan: TrainPlan, steps: int) -> float:
    """In such samples one of the steps, in the mean."""
    return _of_steps(plan, steps) / max(1, steps)


def of_judging(plan: TrainPlan, checkpoints: int, *, untrained: bool, final: bool) -> float:
    """In such samples the pictures by which so many checkpoints are judged, and with the first the untrained one; and
    those of the end."""
    made, judged = checkpoints + untrained + FINAL_GRIDS * final, checkpoints + untrained + final
    return plan.score_pictures * (made * _forwards(plan) + judged * JUDGED * FORWARD_SHARE)


def _of_steps(plan: TrainPlan, steps: int) -> float:
    again = RECOMPUTED if plan.gradient_checkpointing else 1.0
    full = steps * (1.0 - SAVED_BY_HALVING * plan.low_first)
    batches = plan.accumulate / plan.gpus
    return full * plan.batch_size * batches * _with_prior(plan) * again


def _forwards(plan: TrainPlan) -> float:
    """Of a picture that is made."""
    return plan.sample_steps * 2 * FORWARD_SHARE


def _with_prior(plan: TrainPlan) -> float:
    """The samples more; where the untrained checkpoint is asked, too, its answers besides. Not in steps that learn the
    person alone."""
    share = plan.prior_rows / plan.batch_size
    more = share * (1.0 + FORWARD_SHARE) if plan.own_answers else share
    return 1.0 + more * (1.0 - plan.prior_after)
