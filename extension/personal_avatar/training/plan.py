"""What to train and how: settings without torch, shared by page, API, command line and worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personal_avatar.domain import Avatar, BaseModelFile, Method
from personal_avatar.params import Settings, setting, validated
from personal_avatar.training.presets import preset_for


class LoraPlan(Settings):
    """A LoRA for a Stable Diffusion 1.x checkpoint. Learning rates are per optimiser step of AdamW."""

    steps: int = setting(0, "plan.steps", ge=0, le=20000, step=50, unit="steps")  # 0: chosen from the number of photos
    rank: int = setting(32, "plan.rank", ge=1, le=256, step=1)
    alpha: float = setting(16.0, "plan.alpha", ge=0.01, le=512, advanced=True)
    conv_rank: int = setting(0, "plan.conv_rank", ge=0, le=128, step=1, advanced=True)  # 0: attention only
    resolution_px: int = setting(0, "plan.resolution", ge=0, le=1024, step=64, unit="px")  # 0: the checkpoint's own
    batch_size: int = setting(2, "plan.batch_size", ge=1, le=64, step=1, advanced=True)
    learning_rate: float = setting(1e-4, "plan.learning_rate", ge=1e-7, le=0.1, advanced=True)
    text_encoder_learning_rate: float = setting(0.0, "plan.te_learning_rate", ge=0.0, le=0.1, advanced=True)
    schedule: str = setting("cosine", "plan.schedule", choices=("cosine", "constant"), advanced=True)
    warmup_steps: int = setting(0, "plan.warmup", ge=0, le=2000, step=10, advanced=True, unit="steps")
    min_snr_gamma: float = setting(5.0, "plan.min_snr", ge=0.0, le=20.0, advanced=True)
    noise_offset: float = setting(0.0, "plan.noise_offset", ge=0.0, le=0.2, advanced=True)
    caption_dropout: float = setting(0.05, "plan.caption_dropout", ge=0.0, le=0.9, advanced=True)
    prior_weight: float = setting(0.0, "plan.prior_weight", ge=0.0, le=2.0, advanced=True)
    gradient_checkpointing: bool = setting(False, "plan.gradient_checkpointing", advanced=True)
    precision: str = setting("auto", "plan.precision", choices=("auto", "fp32", "bf16", "fp16"), advanced=True)
    flip: bool = setting(False, "plan.flip", advanced=True)
    save_count: int = setting(4, "plan.save_count", ge=1, le=20, step=1, advanced=True)
    held_out: float = setting(0.2, "plan.held_out", ge=0.0, le=0.5, advanced=True)
    min_photos: int = setting(3, "plan.min_photos", ge=1, le=50, step=1, advanced=True)
    score_pictures: int = setting(8, "plan.score_pictures", ge=1, le=64, step=1, advanced=True)
    sample_steps: int = setting(16, "plan.sample_steps", ge=1, le=100, step=1, advanced=True)
    guidance: float = setting(5.0, "plan.guidance", ge=1.0, le=30.0, step=0.5, advanced=True)
    must_rise: bool = setting(True, "plan.must_rise", advanced=True)  # fail when the likeness did not rise
    seed: int = setting(1, "plan.seed", ge=0, le=2**31 - 1, step=1, advanced=True)

    @property
    def method(self) -> Method:
        return Method.LORA

    @property
    def conv_alpha(self) -> float:
        """Alpha of the residual blocks: the same share of their rank as in attention."""
        return self.conv_rank * self.alpha / self.rank

    def steps_for(self, photos: int) -> int:
        """Optimiser steps: as set, else 100 a photo for a batch of 2, between 400 and 2000."""
        return self.steps or int(min(2000, max(400, 100 * photos * 2 / self.batch_size)))


PLANS: dict[Method, type[LoraPlan]] = {Method.LORA: LoraPlan}


def plan_for(base: BaseModelFile, method: Method, values: dict[str, Any]) -> LoraPlan:
    """The user's `values`, then the preset for this checkpoint, then the defaults; raises `InvalidSettings`."""
    return validated(PLANS[method], {**preset_for(base, method), **values})


@dataclass(frozen=True)
class TrainTask:
    """Payload of a training job: everything the worker needs, as paths and settings."""

    avatar: Avatar
    avatar_folder: Path
    photos: tuple[Path, ...]
    base: BaseModelFile
    method: Method
    plan: dict[str, Any]
    publish_to: Path
    weights_folder: Path
    photo_settings: dict[str, Any] = field(default_factory=dict)

    def settings(self) -> LoraPlan:
        """The validated plan, what it leaves out taken from the preset; raises `InvalidSettings`."""
        return plan_for(self.base, self.method, self.plan)
