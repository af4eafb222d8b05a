from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import NanLoss
from personal_avatar.training import compute
from personal_avatar.training.compute import Compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.wording import text

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def without_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.parametrize(("precision", "found"), [
    ("auto", Compute(CPU, torch.float32, None)),
    ("fp32", Compute(CPU, torch.float32, None)),
    ("bf16", Compute(CPU, torch.bfloat16, torch.bfloat16)),
    ("fp16", Compute(CPU, torch.bfloat16, torch.bfloat16)),
])
def test_without_a_card_half_precision_is_bf16(precision: str, found: Compute) -> None:
    assert compute.choose(precision) == found


def test_a_system_that_pins_no_more_memory_leaves_it_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.Tensor, "pin_memory", refuse)
    one = torch.ones(1)
    assert Compute(torch.device("cuda"), torch.float16, torch.float16).pinned(one) is one
    assert Compute(CPU, torch.float32, None).pinned(one) is one


@pytest.mark.parametrize(("autocast", "hint"), [
    (None, NanLoss.default_hint), (torch.bfloat16, NanLoss.default_hint), (torch.float16, text("ending.hint.fp16")),
])
def test_a_loss_that_is_no_number_may_be_the_fault_of_fp16(autocast: torch.dtype | None, hint: str) -> None:
    card = Compute(torch.device("cuda"), torch.float32, autocast)
    with pytest.raises(NanLoss) as raised, compute.blaming_fp16(card):
        raise NanLoss("The loss became infinite at step 3.")
    assert raised.value.hint == hint


@pytest.mark.parametrize(("flags", "native_px", "found"), [
    ("flags\t\t: fpu avx512f avx512_bf16 sse2", 512, torch.bfloat16),
    ("flags\t\t: fpu amx_bf16", 1024, torch.bfloat16),
    ("flags\t\t: fpu avx512_bf16", 192, torch.bfloat16),
    ("flags\t\t: fpu avx512_bf16", 128, torch.float32),
    ("flags\t\t: fpu avx2", 512, torch.float32),
    ("Features\t: fp asimd", 512, torch.float32),
])
def test_a_processor_with_bf16_uses_it_for_large_checkpoints(
    flags: str, native_px: int, found: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text(f"processor\t: 0\n{flags}\n")
    monkeypatch.setattr(compute, "CPU_INFO", info)
    assert compute.choose("auto", native_px).weights is found
    assert compute.choose("fp32", native_px).weights is torch.float32


@pytest.mark.parametrize(("capability", "precision", "weights", "tries"), [
    ((7, 5), "auto", torch.float16, True),
    ((7, 5), "bf16", torch.bfloat16, False),
    ((6, 1), "auto", torch.float16, False),
    ((8, 6), "auto", torch.bfloat16, False),
    ((8, 6), "fp16", torch.float16, False),
    ((7, 5), "fp32", torch.float32, False),
])
def test_a_card_computes_in_what_it_can(
    capability: tuple[int, int], precision: str, weights: torch.dtype, tries: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    found = compute.choose(precision, 512)
    assert (found.device.type, found.weights) == ("cuda", weights)
    assert torch.backends.cudnn.benchmark == tries


def test_where_the_system_does_not_tell_torch_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compute, "CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    assert compute.choose("auto", 512).autocast is torch.bfloat16


def test_the_fused_kernel_is_for_large_pictures_and_full_precision() -> None:
    assert compute.choose("fp32").plain_attention(192)
    assert not compute.choose("fp32").plain_attention(256)
    assert compute.choose("bf16").plain_attention(512)
    assert not Compute(torch.device("cuda"), torch.float16, torch.float16).plain_attention(128)


def test_gradients_are_scaled_for_fp16_only() -> None:
    assert not compute.scaler_for(compute.choose("bf16")).is_enabled()


@pytest.mark.slow
def test_bf16_answers_nearly_the_same(miniature: BaseModelFile, load_miniature: Callable[[], DiffusionModel]) -> None:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    answers = []
    for model in (load_miniature(), registry.load(miniature, compute.choose("bf16"), 64)):
        with torch.no_grad():
            answers.append(model.predict(noisy, torch.tensor([500]), model.encode_text(["a man"])))
    assert answers[1].dtype == torch.float32
    assert float((answers[0] - answers[1]).abs().mean()) < 0.05 * float(answers[0].abs().mean())
