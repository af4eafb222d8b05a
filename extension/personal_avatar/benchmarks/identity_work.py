"""What is measured of InstantID: the same denoising of the same noise, whoever puts the face into it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PLAIN, OURS, REFERENCE, PIPELINE = "plain", "ours", "diffusers", "diffusers-pipeline"
ENGINES = (PLAIN, OURS, REFERENCE, PIPELINE)
USUAL_STEPS = 30  # over which the work before the first step is spread


@dataclass(frozen=True)
class IdentityWork:
    """`size`: "small" or "standard" (2.6 billion weights in the UNet, 1.25 in the IdentityNet), all random.

    `precision`: auto, fp32, bf16 or fp16; auto is fp16 on a graphics card, fp32 elsewhere. Every engine has `turns` of
    `steps` steps each, after one turn that does not count; nor does the first step of a turn.
    """

    size: str = "small"
    resolution_px: int = 256
    precision: str = "auto"
    steps: int = 4
    turns: int = 3
    guidance: float = 4.0
    weight: float = 0.8
    net_weight: float = 0.8
    seed: int = 1

    def to_document(self) -> dict[str, Any]:
        return {"method": "instantid", "family": "sdxl", "random_weights": True, "tokens": 16, **asdict(self)}


@dataclass(frozen=True)
class Turn:
    """`setup_seconds`: entering, before the first step; `seconds`, `cpu_seconds`: of each step, with guidance."""

    setup_seconds: float
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]


@dataclass(frozen=True)
class IdentityTimed:
    """What one process measured of one engine. `latents`: a .npy file with what its last turn came to."""

    engine: str
    turns: tuple[Turn, ...]
    peak_memory_gb: float
    latents: str
    precision: str
    device: str
    threads: int
    torch: str
