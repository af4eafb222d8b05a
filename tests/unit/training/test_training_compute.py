from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from personal_avatar.domain import BaseModelFile
from personal_avatar.training import compute
from personal_avatar.training.compute import Compute
from personal_avatar.training.families import registry
from personal_avatar.training.families.model import DiffusionModel

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


def test_the_fused_kernel_is_for_large_pictures_and_full_precision() -> None:
    assert compute.choose("fp32").plain_attention(256)
    assert not compute.choose("fp32").plain_attention(512)
    assert compute.choose("bf16").plain_attention(512)
    assert not Compute(torch.device("cuda"), torch.float16, torch.float16).plain_attention(128)


def test_gradients_are_scaled_for_fp16_only() -> None:
    assert not compute.scaler_for(compute.choose("bf16")).is_enabled()


def test_bf16_answers_nearly_the_same(miniature: BaseModelFile, load_miniature: Callable[[], DiffusionModel]) -> None:
    noisy = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0))
    answers = []
    for model in (load_miniature(), registry.load(miniature, compute.choose("bf16"), 64)):
        with torch.no_grad():
            answers.append(model.predict(noisy, torch.tensor([500]), model.encode_text(["a man"])))
    assert answers[1].dtype == torch.float32
    assert float((answers[0] - answers[1]).abs().mean()) < 0.05 * float(answers[0].abs().mean())
