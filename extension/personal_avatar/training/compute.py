"""Where and in which number format the work runs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PLAIN_ATTENTION_UP_TO_PX = 256


@dataclass(frozen=True)
class Compute:
    """`weights`: format of the frozen weights; `autocast`: of products, None for fp32. Trained weights are fp32."""

    device: torch.device
    weights: torch.dtype
    autocast: torch.dtype | None

    def products(self) -> AbstractContextManager[object]:
        """Context in which the model is called."""
        import torch

        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast)

    def plain_attention(self, resolution_px: int) -> bool:
        """Explicit attention instead of the fused kernel: faster on a CPU for small pictures (the fused backward pass
        is slow there), and the fused one ends the process in torch 2.1 with bf16 on a CPU."""
        if self.device.type != "cpu":
            return False
        return resolution_px <= PLAIN_ATTENTION_UP_TO_PX or self.autocast is not None


def choose(precision: str) -> Compute:
    """`precision` as in the plan. "auto": fp16 or bf16 on CUDA as the card can, fp32 on a CPU."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "auto":
        precision = _automatic(device)
    half = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cpu" and half is torch.float16:
        half = torch.bfloat16
    return Compute(device, half or torch.float32, half)


def _automatic(device: torch.device) -> str:
    import torch

    if device.type == "cpu":
        return "fp32"
    return "bf16" if torch.cuda.is_bf16_supported() else "fp16"


def scaler_for(compute: Compute) -> torch.cuda.amp.GradScaler:
    """Scales the loss so that fp16 gradients do not vanish; does nothing for other formats."""
    import torch

    enabled = compute.autocast is torch.float16
    modern = getattr(torch.amp, "GradScaler", None)  # torch 2.3 and later
    return modern("cuda", enabled=enabled) if modern else torch.cuda.amp.GradScaler(enabled=enabled)


def torch_device(name: str) -> torch.device:
    import torch

    return torch.device(name)


def release() -> None:
    """Give memory of dropped models back to the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
