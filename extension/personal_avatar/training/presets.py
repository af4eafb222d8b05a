"""Settings that work, by family and purpose. What a user sets himself goes before them."""

from __future__ import annotations

from typing import Any

from personal_avatar.domain import BaseModelFile, Family, Goal, Method

TINY_UP_TO_PX = 256

Values = dict[str, Any]
PRESETS: dict[tuple[Method, Family, Goal], Values] = {
    (Method.LORA, Family.SD1, Goal.FACE): {
        "rank": 32,
        "alpha": 16.0,
        "learning_rate": 1e-4,
        "batch_size": 2,
        "min_snr_gamma": 5.0,
        "noise_offset": 0.05,
        "save_count": 5,
    },
}
TINY_PRESETS: dict[Method, Values] = {
    Method.LORA: {
        "steps": 300,
        "rank": 16,
        "alpha": 16.0,
        "conv_rank": 16,
        "learning_rate": 4e-3,
        "batch_size": 4,
        "warmup_steps": 10,
        "min_snr_gamma": 5.0,
        "noise_offset": 0.0,
        "save_count": 3,
        "held_out": 0.3,
    },
}


def is_tiny(base: BaseModelFile) -> bool:
    """avatar-tiny and its like: made for pictures of at most 256 pixels."""
    return base.native_px <= TINY_UP_TO_PX


def preset_for(base: BaseModelFile, method: Method, goal: Goal = Goal.FACE) -> Values:
    """Values of the plan that differ from its defaults; empty for what has no preset."""
    if is_tiny(base):
        return dict(TINY_PRESETS.get(method, {}))
    return dict(PRESETS.get((method, base.family, goal), {}))
