"""Where and in which number format the work runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from personal_avatar.errors import NanLoss
from personal_avatar.wording import text

if TYPE_CHECKING:
    import torch

FUSED_ATTENTION_FROM_PX = 256  # 1024 tokens at the first level of the UNet
HALF_ON_CPU_FROM_PX = 192  # smaller networks gain nothing by it
TURING = (7, 5)  # compute capability
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
CPU_INFO = Path("/proc/cpuinfo")


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

    def send(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of main memory on the device. A graphics card is not waited for, as it would be from memory that is
        not pinned: the driver first lets it finish what it was told before."""
        if self.device.type != "cuda" or tensor.device.type != "cpu":
            return tensor.to(self.device)
        return self.pinned(tensor).to(self.device, non_blocking=True)

    def pinned(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of main memory, for a graphics card in memory that is pinned; where it is when the system pins no
        more, as some allow only a part: the card is waited for then."""
        if self.device.type != "cuda":
            return tensor
        try:
            return tensor.pin_memory()
        except RuntimeError:
            return tensor

    def plain_attention(self, resolution_px: int) -> bool:
        """Explicit attention instead of the fused kernel."""
        return self.device.type == "cpu" and attends_plainly(resolution_px, self.autocast is not None)


def attends_plainly(resolution_px: int, half: bool) -> bool:
    """Whether attention on a CPU is explicit: that is faster for small pictures and in bf16 (the fused backward pass is
    slow there), and the fused one ends the process in torch 2.1 with bf16 on a CPU."""
    return half or resolution_px < FUSED_ATTENTION_FROM_PX


def is_half_on_cpu(native_px: int) -> bool:
    """Whether products are made in bf16 on a CPU where the plan leaves that open."""
    return native_px >= HALF_ON_CPU_FROM_PX and processor_has_bf16()


def choose(precision: str, native_px: int = 0) -> Compute:
    """`precision` as in the plan. "auto": fp16 or bf16 on CUDA as the card can; on a CPU fp32, but bf16 for checkpoints
    that are large enough (`native_px` of the checkpoint tells) when the processor multiplies in it."""
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if precision == "auto":
        precision = _automatic(device, native_px)
    half = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cpu" and half is torch.float16:
        half = torch.bfloat16
    if device.type == "cuda" and half is torch.float16:
        _heed_turing()
    return Compute(device, half or torch.float32, half)


def _automatic(device: torch.device, native_px: int) -> str:
    import torch

    if device.type == "cpu":
        return "bf16" if is_half_on_cpu(native_px) else "fp32"
    ampere = torch.version.hip is not None or torch.cuda.get_device_capability()[0] >= 8
    return "bf16" if ampere else "fp16"  # older cards only emulate bf16, slowly, and torch counts that as support


def _heed_turing() -> None:
    """Some of these cards (GTX 16) answer in fp16 with what is no number, unless cuDNN tries its kernels out first: as
    the WebUI found (its pull request 4407)."""
    import torch

    if torch.version.hip is None and torch.cuda.get_device_capability() == TURING:
        torch.backends.cudnn.benchmark = True


@contextmanager
def blaming_fp16(compute: Compute) -> Iterator[None]:
    """A `NanLoss` out of products in fp16 names these, too."""
    import torch

    try:
        yield
    except NanLoss as error:
        if compute.autocast is torch.float16:
            error.hint = text("ending.hint.fp16")
        raise


def processor_has_bf16() -> bool:
    """Whether it has instructions for bf16; without them, bf16 is slower than fp32. Linux tells; elsewhere newer
    versions of torch do."""
    if CPU_INFO.is_file():
        flags = next((line for line in CPU_INFO.read_text().splitlines() if line.startswith("flags")), "")
        return bool(BF16_FLAGS & set(flags.split()))
    import torch

    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def scaler_for(compute: Compute) -> torch.cuda.amp.GradScaler:
    """Scales the loss so that fp16 gradients do not vanish; does nothing for other formats."""
    import torch

    enabled = compute.autocast is torch.float16
    modern = getattr(torch.amp, "GradScaler", None)  # torch 2.3 and later
    return modern("cuda", enabled=enabled) if modern else torch.cuda.amp.GradScaler(enabled=enabled)


def version() -> tuple[int, int]:
    """Of torch: (2, 13)."""
    import torch

    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def release() -> None:
    """Give memory of dropped models back to the device."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    trim()


def trim() -> None:
    """What glibc keeps for later, for each thread by itself, goes back to the system; other C libraries do not have
    this."""
    import ctypes

    if sys.platform != "linux":
        return
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)
