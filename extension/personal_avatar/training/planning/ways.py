"""A training as it is asked for, and the ways in which it would need less memory. Numbers and settings alone: no torch.

A way is a list of (what is lost, settings), from nothing to as far as it goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from personal_avatar.domain import BaseModelFile, Method
from personal_avatar.training.planning.optimiser_facts import ADAMW, EIGHT_BIT, SMALLEST
from personal_avatar.training.planning.plan import PLANS, TrainPlan, plan_for, resolution_of
from personal_avatar.training.planning.presets import TINY_UP_TO_PX

VRAM, RAM = "vram", "ram"
SMALLEST_SHARE = (1.0, 0.875, 0.75, 0.625, 0.5)  # of the resolution
SMALLEST_PX, SMALLEST_RANK = 64, 4
MOST_BATCHES = 64  # before a step
CARRIED = (
    "goal", "steps", "resolution_px", "batch_size", "accumulate", "gradient_checkpointing", "precision", "save_count",
    "held_out", "min_photos", "score_pictures", "sample_steps", "guidance", "seed", "unmasked_weight", "flip",
)  # fmt: skip  what another method takes over from a user's own values

Values = dict[str, Any]
Level = tuple[float, Values]
Way = Sequence[Level]


@dataclass(frozen=True)
class Wish:
    """A training as it is asked for: `values` are the user's own, the rest is the preset's. `memory`: where it runs;
    `eight_bit`: whether the optimiser adamw8bit is to be had there."""

    base: BaseModelFile
    method: Method
    values: Mapping[str, Any] = field(default_factory=dict)
    memory: str = RAM
    eight_bit: bool = False

    @property
    def plan(self) -> TrainPlan:
        return plan_for(self.base, self.method, dict(self.values))

    def changed(self, changes: Mapping[str, Any]) -> Wish:
        """With other settings, "method" among them. Another method takes over what it has in common, and its own
        learning rate and optimiser."""
        method = Method(changes.get("method", self.method))
        same = method is self.method
        known = PLANS[method].__fields__
        values = {name: value for name, value in self.values.items() if same or (name in CARRIED and name in known)}
        values |= {name: value for name, value in changes.items() if name in known}
        return Wish(self.base, method, values, self.memory, self.eight_bit)


def ways_of(wish: Wish) -> list[Way]:
    """Those that lead somewhere."""
    found = [[(0.0, {}), *way(wish, wish.plan)] for way in WAYS]
    return [way for way in found if len(way) > 1]


def taken(ways: Sequence[Way], levels: Sequence[int]) -> Values:
    """The settings that so much of each way changes."""
    found: Values = {}
    for way, level in zip(ways, levels, strict=True):
        found |= way[level][1]
    return found


def _checkpointing(wish: Wish, plan: TrainPlan) -> Way:
    return [] if plan.gradient_checkpointing else [(1.0, {"gradient_checkpointing": True})]


def _half(wish: Wish, plan: TrainPlan) -> Way:
    """Numbers of two bytes where the user wanted four and the device is good at two. Dreambooth's weights stay as they
    are, and copies come to them."""
    worth_it = plan.precision == "fp32" and wish.memory == VRAM and wish.method is not Method.DREAMBOOTH
    return [(1.5, {"precision": "auto"})] if worth_it else []


def _batch(wish: Wish, plan: TrainPlan) -> Way:
    """Smaller batches, as many more of them before each step: nearly the same, slower."""
    found: list[Level] = []
    size, together = plan.batch_size, plan.batch_size * plan.accumulate // plan.gpus
    while size > 1:
        size //= 2
        each = min(MOST_BATCHES // plan.gpus, max(1, together // size))  # as many on each card
        found.append((2.0 + 0.1 * len(found), {"batch_size": size, "accumulate": each * plan.gpus}))
    return found


def _average(wish: Wish, plan: TrainPlan) -> Way:
    return [(3.0, {"ema_decay": 0.0})] if plan.ema_decay > 0 else []


def _optimiser(wish: Wish, plan: TrainPlan) -> Way:
    """AdamW with a small memory, then none to speak of; optimisers with rates of their own stay what they are."""
    if plan.optimiser not in (ADAMW, EIGHT_BIT):
        return []
    eight = [(3.5, {"optimiser": EIGHT_BIT})] if wish.eight_bit and plan.optimiser == ADAMW else []
    return [*eight, (4.0, {"optimiser": SMALLEST})]


def _text(wish: Wish, plan: TrainPlan) -> Way:
    return [(4.5, {"text_encoder_learning_rate": 0.0})] if plan.text_encoder_learning_rate > 0 else []


def _resolution(wish: Wish, plan: TrainPlan) -> Way:
    own = resolution_of(plan, wish.base)
    sides = dict.fromkeys(int(own * share) // 64 * 64 for share in SMALLEST_SHARE)
    least = SMALLEST_PX if own <= TINY_UP_TO_PX else TINY_UP_TO_PX + 1  # below it more pictures are made at once
    smaller = [side for side in sides if least <= side < own]
    return [(6.0 + 2.0 * place, {"resolution_px": side}) for place, side in enumerate(smaller)]


def _rank(wish: Wish, plan: TrainPlan) -> Way:
    """Half the rank, again and again, and alpha with it."""
    rank, alpha = getattr(plan, "rank", 0), getattr(plan, "alpha", 0.0)
    found: list[Level] = []
    while rank // 2 >= SMALLEST_RANK:
        rank, alpha = rank // 2, alpha / 2
        found.append((7.0 + 2.0 * len(found), {"rank": rank, "alpha": alpha}))
    return found


def _convolutions(wish: Wish, plan: TrainPlan) -> Way:
    return [(5.0, {"conv_rank": 0})] if getattr(plan, "conv_rank", 0) > 0 else []


def _method(wish: Wish, plan: TrainPlan) -> Way:
    """A LoRA, which trains a fiftieth of the weights."""
    lora = {"method": Method.LORA.value, "gradient_checkpointing": True}
    return [(20.0, lora)] if wish.method is Method.DREAMBOOTH else []


WAYS: tuple[Callable[[Wish, TrainPlan], Way], ...] = (
    _checkpointing, _half, _batch, _average, _optimiser, _text, _convolutions, _resolution, _rank, _method,
)
