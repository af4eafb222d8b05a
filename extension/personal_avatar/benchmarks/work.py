"""What is measured: the same steps of the same training, whoever does them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from personal_avatar.domain import BaseModelFile
from personal_avatar.training.planning.plan import LoraPlan

LEARNING_RATE = 1e-4
PICTURES = 8
CLASS_NOUN = "man"
CAPTION = "a photo of sks man, number {number}"


@dataclass(frozen=True)
class SpeedWork:
    """A LoRA on the attention of the UNet: captions and pictures are encoded beforehand, the text stays as it is.

    `resolution_px`: side of the square pictures; `steps` are timed, `warmup` ones before them are not.
    """

    base: BaseModelFile
    resolution_px: int
    batch: int = 1
    precision: str = "auto"
    steps: int = 20
    warmup: int = 3
    rank: int = 16
    seed: int = 1
    random_weights: bool = False

    @property
    def total_steps(self) -> int:
        return self.steps + self.warmup

    def plan(self) -> LoraPlan:
        """Nothing but the plain loss, at a constant rate."""
        return LoraPlan(
            rank=self.rank,
            alpha=float(self.rank),
            batch_size=self.batch,
            learning_rate=LEARNING_RATE,
            schedule="constant",
            min_snr_gamma=0.0,
            caption_dropout=0.0,
            vary_captions=False,
            save_count=1,
            precision=self.precision,
            seed=self.seed,
        )

    def captions(self) -> list[str]:
        return [CAPTION.format(number=number) for number in range(PICTURES)]

    def to_document(self) -> dict[str, Any]:
        """What the report says of the work."""
        return {
            "family": self.base.family.value,
            "checkpoint": self.base.path.name,
            "random_weights": self.random_weights,
            "method": "lora",
            "trained": "attention of the UNet",
            "rank": self.rank,
            "resolution_px": self.resolution_px,
            "batch": self.batch,
            "precision": self.precision,
            "steps": self.steps,
            "warmup": self.warmup,
        }


@dataclass(frozen=True)
class Timed:
    """What one process measured. `seconds`: of each step, or the mean of each few steps where a device runs ahead.

    `cpu_seconds`: mean of a step, of all cores together; it tells more than the clock where others use the machine,
    0 when the engine does not tell it, like the `losses` of all steps.
    """

    engine: str
    seconds: tuple[float, ...]
    peak_memory_gb: float
    cpu_seconds: float = 0.0
    load_seconds: float = 0.0
    losses: tuple[float, ...] = ()
    device: str = ""
    threads: int = 0
    torch: str = ""
